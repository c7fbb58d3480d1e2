"""Parts that a lower layer needs and a higher one provides, found by name when first used."""

from __future__ import annotations

from typing import Any

#: What provides each port. Names, not imports: the layers below must not know the ones above.
_PROVIDERS = {
    "config": "seawall.config.build:pipelines_from_file",
    "link": "seawall.report.link:start",
    "unlink": "seawall.report.link:stop",
    "alone": "seawall.pipeline.compose:alone",
}

#: What to install when a provider cannot be imported.
_EXTRAS = {"config": "seawall[daemon]", "link": "seawall", "unlink": "seawall", "alone": "seawall"}


def load(port: str) -> Any:
    """The object that provides `port`.

    Raises:
        ConfigurationError: if an optional package it needs is not installed.
    """
    import importlib

    from seawall.core.errors import ConfigurationError

    module, _, attribute = _PROVIDERS[port].partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as missing:
        raise ConfigurationError(
            f'{port} needs the package "{missing.name}", which is not installed: pip install "{_EXTRAS[port]}"'
        ) from missing
