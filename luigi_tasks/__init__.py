"""The Luigi tasks, by what they work on; `workflows` names them all."""
