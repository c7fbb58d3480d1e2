"""`seawall.protect(name)`: the first line most people write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from seawall.core.errors import ConfigurationError
from seawall.core.ports import load
from seawall.pipeline.compose import Pipeline
from seawall.pipeline.presets import PRESETS
from seawall.pipeline.registry import Registry, default_registry

P = ParamSpec("P")
R = TypeVar("R")


def protect(name: str, *, registry: Registry = default_registry) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that puts a function behind the pipeline of that name.

    The name is looked up among the pipelines made so far, then in the file `SEAWALL_CONFIG` names (`seawall.toml` in
    the working directory if unset), then among the presets "storage", "network", "service" and "agent".

    Args:
        name: of the pipeline or preset.
        registry: where to look and to register; the default registry.

    Raises:
        ConfigurationError: if nothing has that name, listing what has; or if the file has mistakes.
    """
    return find(name, registry)


def find(name: str, registry: Registry) -> Pipeline:
    """The pipeline of that name, made and registered if it has only been described so far."""
    for pipeline in registry.pipelines():
        if pipeline.name == name:
            return pipeline
    named = os.environ.get("SEAWALL_CONFIG")
    path = named or "seawall.toml"
    described = load("config")(path) if named or Path(path).exists() else {}
    if name in described:
        return Pipeline(name, *described[name], registry=registry)
    if name in PRESETS:
        return Pipeline(name, *PRESETS[name](), registry=registry)
    known = sorted({*(p.name for p in registry.pipelines()), *described, *PRESETS})
    where = f" in {path}" if described or named else ""
    raise ConfigurationError(
        f'protect("{name}"): no pipeline{where} and no preset has that name. Known: {", ".join(known)}'
    )
