"""A replicated state machine on a node: commands in, batches through the log, results out.

Arrows point one way: batches <- applying <- snapshots; submissions, proposals, reads, transfer
<- process <- log.
"""
