"""Model files from the Hugging Face hub: the local cache first, then the network, clear words when neither has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmrank.errors import EmbedderError, UsageError
from mmrank.hub import first_line, quiet, why_offline


def fetch_file(repo: str, names: Sequence[str], *, revision: str | None, advice: str) -> Path:
    """The first of `names` that the hub repository has, as a local file.

    A cached file is used without asking the hub, so that the same spec keeps giving the same weights and
    works offline; name a revision to get another state. Raises `EmbedderError` with the cause and `advice`,
    `UsageError` for what cannot be the name of a repository.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    for name in names:
        try:
            return Path(hf_hub_download(repo, name, revision=revision, local_files_only=True))
        except LocalEntryNotFoundError:
            continue
        except HFValidationError as error:
            raise UsageError(f"{repo!r} is not the name of a hub repository (ORG/NAME): {first_line(error)}") from error
    if (offline := why_offline()) is not None:
        raise EmbedderError(f"{offline} {advice}")
    for name in names:
        try:
            with quiet("huggingface_hub"):
                return Path(hf_hub_download(repo, name, revision=revision))
        except LocalEntryNotFoundError as error:
            raise EmbedderError(f"The hub does not answer ({error.__cause__ or error}). {advice}") from error
        except EntryNotFoundError:
            continue  # the repository has no file of this name
        except (HfHubHTTPError, OSError) as error:
            raise EmbedderError(f"The hub refused ({first_line(error)}). {advice}") from error
    where = f"{repo}@{revision}" if revision else repo
    raise EmbedderError(f"The hub repository {where} has none of the files {', '.join(names)}. {advice}")
