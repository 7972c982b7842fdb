"""A replicated state machine on a node: commands in, batches through the log, results out.

Arrows point one way: batches <- applying <- snapshots; batches <- submissions <- clients; batches
<- proposals, consistency; clients, applying, reads, watching, consistency <- program; transfer,
applying <- incoming; program, proposals, incoming, versions <- process <- log <- served; snapshots
<- snapshot_worker; served, snapshot_worker <- starting.
"""
