"""Lightning without what its import runs and a training does not use, which is most of the time it takes.

For the class ``Metric`` it runs all of torchmetrics, with scipy.signal and matplotlib; to know a compiled module when
it sees one, and torch to keep optimisers out of compiled code, they load the compiler. Here both wait until they are
used.
"""

import importlib
import logging
import sys
from collections.abc import Callable
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any

COMPILER, METRICS, PLOTS = "torch._dynamo", "torchmetrics", "torchmetrics.utilities.plot"


def import_lightning() -> None:
    """Import it, once; as it is where some of it is loaded already."""
    if not {"pytorch_lightning", COMPILER, METRICS} & set(sys.modules):
        _postpone_compiler()
        _postpone_metrics()
    importlib.import_module("pytorch_lightning")


class _Later(ModuleType):
    """Stands for a module of which only ``known`` names are known; any other loads the module itself in its place."""

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        vars(self).update(known)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of any module by the import system and by who looks for one of them
            raise AttributeError(name)
        return getattr(self._loaded(), name)

    def _loaded(self) -> ModuleType:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return importlib.import_module(self.__name__)


class _Compiled(type):
    """Before the compiler is loaded nothing is compiled."""

    def __instancecheck__(cls, instance: Any) -> bool:
        compiler = sys.modules[COMPILER]
        return not isinstance(compiler, _Later) and isinstance(instance, compiler.OptimizedModule)


class _PartsOfCompiler(MetaPathFinder):
    """Loads the compiler before a part of it, which otherwise would load the whole in its own middle."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        compiler = sys.modules.get(COMPILER)
        if not isinstance(compiler, _Later) or not fullname.startswith(f"{COMPILER}."):
            return None
        sys.meta_path.remove(self)
        compiler._loaded()
        part = sys.modules.get(fullname)
        return None if part is None else spec_from_loader(fullname, _AsItIs(part))


class _AsItIs(Loader):
    """Loads a module that is loaded already."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


def _postpone_compiler() -> None:
    def disable(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """To be kept out of code that is compiled: there is none yet."""
        return function

    def graph_break() -> None:
        """Nothing, outside of code that is compiled."""

    import torch

    spec = find_spec(COMPILER)
    assert spec is not None
    known = {"disable": disable, "graph_break": graph_break, "OptimizedModule": _Compiled("OptimizedModule", (), {})}
    compiler = _Later(COMPILER, __path__=spec.submodule_search_locations, **known)
    sys.modules[COMPILER] = torch._dynamo = compiler  # type: ignore[assignment]
    sys.meta_path.insert(0, _PartsOfCompiler())


def _postpone_metrics() -> None:
    spec = find_spec(METRICS)
    assert spec is not None
    package: dict[str, Any] = {"__path__": spec.submodule_search_locations, "__spec__": spec}
    package |= {"__version__": metadata.version(METRICS), "_logger": logging.getLogger(METRICS)}
    metrics = sys.modules[METRICS] = _Later(METRICS, **package)
    names = ("_AX_TYPE", "_PLOT_OUT_TYPE", "plot_single_or_multi_val")
    sys.modules[PLOTS] = _Later(PLOTS, **dict.fromkeys(names, object))
    importlib.import_module(f"{METRICS}.utilities")  # which imports the next one in a circle
    for module, name in (("metric", "Metric"), ("collections", "MetricCollection")):
        setattr(metrics, name, getattr(importlib.import_module(f"{METRICS}.{module}"), name))
