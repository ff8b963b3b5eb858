"""Pictures of what an evaluation found, one kind a module, each with `draw` and `save`."""
