"""The tables that the stages hand each other: their schemas, where they lie, how they are written and read."""
