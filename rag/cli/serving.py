"""``rag serve``: REST, the page, and the keys that open them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.shared import Indexes, Json, Profile, print_json, say, settings_of, staying
from rag.errors import MissingDependencyError

if TYPE_CHECKING:
    from rag.server.access.keys import Key

app = typer.Typer(help="Serve answers over REST, with a page at '/'.", invoke_without_command=True)
keys = typer.Typer(no_args_is_help=True, help="Add, revoke and list API keys.")
app.add_typer(keys, name="keys")
KeysFile = Annotated[Path, typer.Option("--keys", help="The file of keys.")]
DEFAULT_KEYS = Path("keys.json")


@app.callback(
    epilog="Examples: rag serve --index demo · rag serve --index demo --host 0.0.0.0 --keys keys.json · "
    "rag serve keys add --name ward-3 --scope ask"
)
def serve(
    context: typer.Context,
    index: Annotated[
        list[str] | None,
        typer.Option("--index", "-i", help="Index to serve; repeatable, the first is the default.", show_default="all"),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port; 0 takes a free one.", show_default="8000")
    ] = None,
    keys_file: Annotated[Path | None, typer.Option("--keys", help="File of API keys; needed beyond loopback.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Processes that answer, each with the models.", show_default="1")
    ] = None,
    ingest_root: Annotated[
        list[Path] | None, typer.Option(help="A folder from which paths may be ingested; repeatable.")
    ] = None,
    indexes: Indexes = None,
    profile: Profile = None,
) -> None:
    """Serve answers over REST, with a page at '/'. Listens on this machine only, unless told otherwise."""
    if context.invoked_subcommand is not None:
        return
    settings = settings_of(indexes, profile)
    given: dict[str, Any] = {"host": host, "port": port, "keys": keys_file, "workers": workers}
    given["ingest_roots"] = tuple(ingest_root or ()) or None
    changed = settings.serving.model_copy(update={k: v for k, v in given.items() if v is not None})
    with staying():
        run = _needs_extra("rag.server.run")
    run.serve(settings.model_copy(update={"serving": changed}), index or (), typer.echo)


@keys.command("add", epilog="Example: rag serve keys add --name ward-3 --scope ask --days 90")
def keys_add(
    name: Annotated[str, typer.Option(help="Whose key it is.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="ask, ingest, audit or admin; repeatable.", show_default="ask")
    ] = None,
    days: Annotated[float | None, typer.Option(help="Until it expires.", show_default="never")] = None,
    file: KeysFile = DEFAULT_KEYS,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown once: only its hash is kept.

    Scopes: ask (ask and search, see what indexes hold, and this key's own answers); ingest (add corpora, and their
    jobs); audit (all recorded answers); admin (roll back, compact, jobs and metrics; it includes none of the others).
    """
    from rag.server.access.keys import KeyFile

    whole, key = KeyFile(file).add(name, scope or ["ask"], days)
    words = f"{whole}\nthis is the only time it is shown; id {key.id}, scopes {', '.join(key.scopes)}, {_until(key)}"
    say({"key": whole, **_row(key)}, words, as_json)


@keys.command("revoke", epilog="Example: rag serve keys revoke ward-3")
def keys_revoke(
    key: Annotated[str, typer.Argument(help="Id of the key, or the name of whose keys.")],
    file: KeysFile = DEFAULT_KEYS,
    as_json: Json = False,
) -> None:
    """Remove a key; a running server refuses it at once."""
    from rag.server.access.keys import KeyFile

    gone = KeyFile(file).revoke(key)
    say({"revoked": [k.id for k in gone]}, f"revoked: {', '.join(f'{k.id} ({k.name})' for k in gone)}", as_json)


@keys.command("list", epilog="Example: rag serve keys list --keys keys.json")
def keys_list(file: KeysFile = DEFAULT_KEYS, as_json: Json = False) -> None:
    """The keys, without the keys themselves."""
    from rag.server.access.keys import KeyFile

    found = KeyFile(file).listed()
    if as_json:
        print_json({"keys": [_row(k) for k in found]})
    else:
        for k in found:
            typer.echo(f"{k.id}  {k.name:<24}  {', '.join(k.scopes):<26}  {_until(k)}")


def _row(key: Key) -> dict[str, Any]:
    return key.model_dump(mode="json", exclude={"sha256"})


def _until(key: Key) -> str:
    return f"expires {key.expires.isoformat()}" if key.expires else "never expires"


def _needs_extra(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f'serving needs {error.name}: pip install "clincite[serve]"') from error
