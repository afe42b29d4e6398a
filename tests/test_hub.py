"""What loading models is kept from: the terminal, and the settings of other users of the same libraries."""

from __future__ import annotations

from transformers.utils import logging

from mmrank.hub import quiet_transformers


def test_transformers_is_quiet_for_the_moment_only() -> None:
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    try:
        logging.set_verbosity_info()
        logging.enable_progress_bar()
        with quiet_transformers():
            assert logging.get_verbosity() == logging.ERROR
            assert not logging.is_progress_bar_enabled()
        assert logging.get_verbosity() == logging.INFO
        assert logging.is_progress_bar_enabled()
    finally:
        logging.set_verbosity(level)
        (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
