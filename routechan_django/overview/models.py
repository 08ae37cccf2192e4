"""What the admin needs to list the page and to ask for a permission: a model without a table."""

from __future__ import annotations

from typing import Any

from django.db import models


class NothingManager(models.Manager["Overview"]):
    """Finds nothing, and asks no database: commands such as ``dumpdata`` go through all models."""

    def get_queryset(self) -> Any:
        """An empty queryset."""
        return super().get_queryset().none()


class Overview(models.Model):
    """The page, as a model without rows; its permission is ``routechan_overview.view_overview``."""

    objects = NothingManager()

    class Meta:
        managed = False
        default_permissions = ("view",)
        base_manager_name = "objects"
        verbose_name = "overview"
        verbose_name_plural = "overview"

    def __str__(self) -> str:
        return "overview"
