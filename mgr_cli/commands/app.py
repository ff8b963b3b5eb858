"""The application: its commands, and how it ends.

Exit codes: 0 done; 1 some input failed, the rest is done; 2 the command was wrong; 130
interrupted.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mgr_cli.commands import console, eval, explain, predict, prepare, train, tune, zoo
from mgr_cli.errors import MgrError

INTERRUPTED = 130


class Group(TyperGroup):
    """Ends every run with an exit code, and every error with one line."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; see `TyperGroup.main`."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except typer.TyperException as error:
            message = error.format_message().replace("Value error, ", "").rstrip(". ")
            if message:  # it is empty where help was shown for want of arguments
                console.error(f"{message}; see `mgr --help`")
            code = console.WRONG_COMMAND
        except MgrError as error:
            console.error(str(error))
            code = console.WRONG_COMMAND
        except OSError as error:  # a full disk, a folder that may not be written
            where = f"{error.filename}: " if error.filename else ""
            console.error(f"{where}{error.strerror or error}; check the disk and its permissions")
            code = console.WRONG_COMMAND
        except (KeyboardInterrupt, typer.Abort):
            console.error("interrupted")
            code = INTERRUPTED
        else:
            if code == INTERRUPTED:  # Typer has caught it by itself
                console.error("interrupted")
        sys.exit(code or 0)


app = typer.Typer(
    cls=Group,
    name="mgr",
    help="Music genre recognition: prepare, train, tune, evaluate, predict and explain.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("predict")(predict.command)
app.command("prepare")(prepare.command)
app.command("train")(train.command)
app.command("eval")(eval.command)
app.command("tune")(tune.command)
app.command("explain")(explain.command)
app.add_typer(zoo.app, name="zoo")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        console.out.print(f"mgr {version('mgr-cli')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Music genre recognition: prepare, train, tune, evaluate, predict and explain."""


def main() -> None:
    """Run the program."""
    console.silence_native_code()
    app()
