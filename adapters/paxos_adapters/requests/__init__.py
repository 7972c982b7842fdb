"""What a program asks of a node: the values that go in and out, and the errors."""
