"""The form that asks for a room."""

from __future__ import annotations

from django import forms

from .frames import MAX_NAME

ROOM_CHARACTERS = r"[A-Za-z0-9_.\-]+"


class RoomForm(forms.Form):
    room = forms.RegexField(
        regex=f"^{ROOM_CHARACTERS}\\Z",
        max_length=80,
        error_messages={
            "required": "Which room?",
            "invalid": "A room has a name of letters a to z, digits, '-', '_' and '.', without spaces.",
        },
    )
    name = forms.CharField(max_length=MAX_NAME, required=False)
