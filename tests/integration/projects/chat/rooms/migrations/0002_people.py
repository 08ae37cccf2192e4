from django.contrib.auth.hashers import make_password
from django.db import migrations


def create(apps, schema_editor):
    User = apps.get_model("auth", "User")
    for name, staff in [("ann", False), ("ben", False), ("sue", True)]:
        User.objects.create(username=name, password=make_password("secret"), is_staff=staff)
    Room = apps.get_model("rooms", "Room")
    for title in ["Garden", "Kitchen", "Hall", "Cellar", "Attic", "Porch"]:
        Room.objects.create(title=title)
    Room.objects.create(title="Office", staff_only=True)


class Migration(migrations.Migration):
    dependencies = [("rooms", "0001_initial"), ("auth", "__first__")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
