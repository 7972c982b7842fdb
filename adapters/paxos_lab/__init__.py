"""What is done to a machine: explored, simulated, recorded, explained and drawn."""
