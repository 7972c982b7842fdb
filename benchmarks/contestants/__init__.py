"""What ``latency.py`` measures: each contestant in processes of its own, all called in one way.

    python benchmarks/contestants/X.py FOLDER PORTS ME                  a member; ME counts from 1
    python benchmarks/contestants/X.py FOLDER PORTS ME SECONDS WIDTH    the one that measures

A member serves until its standard input ends, so that none outlives who started it. Whoever
measures keeps WIDTH questions under way, and prints as JSON how many seconds each took of those
that were answered within SECONDS, after some that do not count.
"""
