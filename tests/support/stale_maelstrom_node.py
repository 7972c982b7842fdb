"""A node for Maelstrom with a planted fault: each node answers reads from its own state."""

from __future__ import annotations

import asyncio

from examples.maelstrom_node import Message, Node, main


class StaleNode(Node):
    """One that does not ask the leader."""

    def serve(self, request: Message, *, may_forward: bool = True) -> None:
        """A read is answered at once."""
        if request["body"]["type"] == "read":
            self.reply(request, self.found(request))
        else:
            super().serve(request, may_forward=may_forward)


if __name__ == "__main__":
    asyncio.run(main(StaleNode))
