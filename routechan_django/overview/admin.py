"""The page itself, where the admin looks for it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path

from routechan.layers import DEFAULT_CHANNEL_LAYER

from ..asgi import channel_layers
from .lookups import Site, members_of, site_now, sockets_of
from .models import Overview

#: Seconds between two loads of a page that reloads itself.
RELOAD_INTERVAL = 5


@admin.register(Overview)
class OverviewAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The page in the admin, which changes nothing. Lifetime: process.

    Register it on an ``AdminSite`` of your own as any other: ``site.register(Overview, OverviewAdmin)``.
    """

    def get_urls(self) -> list[Any]:
        """The one URL there is, under the name that the index of the admin asks for."""
        opts = self.model._meta
        name = f"{opts.app_label}_{opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.overview_view), name=name)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whether rows can be added: there are none."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether a row can be changed: there are none."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether a row can be deleted: there are none."""
        return False

    def overview_view(self, request: HttpRequest) -> TemplateResponse:
        """The page: the processes, channels, consumers and groups of a layer, and what was looked up.

        Args:
            request: ``layer``, ``group``, ``user`` and ``reload`` in its query say what to show.

        Raises:
            PermissionDenied: The user may not see it.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        aliases = list(channel_layers.configs)
        alias = request.GET.get("layer", DEFAULT_CHANNEL_LAYER)
        if alias not in aliases:
            alias = aliases[0] if aliases else ""
        face: Any = channel_layers[alias] if alias else None
        layer = getattr(face, "layer", None)
        group, user = request.GET.get("group", "").strip(), request.GET.get("user", "").strip()
        sees_users = self._sees_users(request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Channels now",
            "opts": self.model._meta,
            "aliases": aliases,
            "alias": alias,
            "face": str(face),
            "is_local": face is not None and face.local_only(),
            "site": site_now(layer) if layer is not None else Site(error="this layer cannot be asked"),
            "group": group,
            "user_name": user,
            "sees_users": sees_users,
            "members": members_of(layer, group) if group and layer is not None else None,
            "sockets": sockets_of(alias, user) if user and sees_users and layer is not None else None,
            "reload": RELOAD_INTERVAL if request.GET.get("reload") else 0,
        }
        return TemplateResponse(request, "routechan_overview/overview.html", context)

    def _sees_users(self, request: HttpRequest) -> bool:
        """Whether users may be looked up: by those who may see them."""
        user: Any = request.user
        if not apps.is_installed("django.contrib.auth"):
            return False
        opts = get_user_model()._meta
        return bool(user.has_perm(f"{opts.app_label}.view_{opts.model_name}"))
