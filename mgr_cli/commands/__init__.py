"""The command line: the only floor that knows typer and rich.

Nothing heavy is imported at the top of its files: `mgr --help` and completion load neither
numpy's rivals nor torch.
"""
