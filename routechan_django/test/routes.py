"""``apply_routes``: another routing for a block, a test, or all tests of a class."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

from routechan.layers import DEFAULT_CHANNEL_LAYER, channel_layers
from routechan.routing import RouteLike, Router, include

Target = TypeVar("Target", bound="Callable[..., Any]")


class apply_routes:
    """A context manager, and a decorator of functions and test classes, that replaces the routing (TC-31).

    Afterwards the layers have their own routing back. On a class the routes apply from before its ``setUp`` until
    before its ``tearDown``. Lifetime: test.

    Args:
        routes: A route, a list of routes (a list within becomes an ``include``), or what ``ROUTING`` may be.
        aliases: The aliases of the layers, or one alias.
    """

    def __init__(self, routes: Any, aliases: str | Iterable[str] = (DEFAULT_CHANNEL_LAYER,)) -> None:
        self.routes = _as_routing(routes)
        self.aliases = [aliases] if isinstance(aliases, str) else list(aliases)
        self._replaced: list[list[tuple[Any, Any, Router]]] = []

    def __enter__(self) -> None:
        layers: list[Any] = [channel_layers[alias] for alias in self.aliases]
        routers = [Router(self.routes) for _ in layers]
        self._replaced.append([(layer, layer.routing, layer.router) for layer in layers])
        for layer, router in zip(layers, routers, strict=True):
            layer.routing, layer.router = self.routes, router
            layer.routes_applied += 1

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        for layer, routing, router in reversed(self._replaced.pop()):
            layer.routing, layer.router = routing, router
            layer.routes_applied -= 1

    def __call__(self, target: Target) -> Target:
        if inspect.isclass(target):
            self._patch(target)
            return target
        wrapped: Target = self._wrap(target)
        return wrapped

    def _wrap(self, function: Any) -> Any:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awrapper(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return awrapper

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return wrapper

    def _patch(self, case: Any) -> None:
        if not hasattr(case, "setUp") or not hasattr(case, "tearDown"):
            raise TypeError(
                f"apply_routes on a class needs its setUp and tearDown, which {case.__name__} has not; "
                "make it a unittest test case, or put apply_routes on its methods"
            )
        set_up, tear_down = case.setUp, case.tearDown

        @functools.wraps(set_up)
        def apply_and_set_up(test: Any) -> None:
            self.__enter__()
            try:
                set_up(test)
            except BaseException:  # unittest calls no tearDown after a failed setUp
                self.__exit__()
                raise

        @functools.wraps(tear_down)
        def restore_and_tear_down(test: Any) -> None:
            self.__exit__()
            tear_down(test)

        case.setUp, case.tearDown = apply_and_set_up, restore_and_tear_down


def _as_routing(routes: Any) -> Any:
    if isinstance(routes, (list, tuple)):
        return [include(entry) if isinstance(entry, (list, tuple)) else entry for entry in routes]
    return [routes] if isinstance(routes, RouteLike) else routes
