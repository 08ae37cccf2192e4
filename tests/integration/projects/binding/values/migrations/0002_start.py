from django.contrib.auth.hashers import make_password
from django.db import migrations


def create(apps, schema_editor):
    User = apps.get_model("auth", "User")
    User.objects.create(username="ann", password=make_password("secret"))
    User.objects.create(username="sue", password=make_password("secret"), is_staff=True, is_superuser=True)
    apps.get_model("values", "Value").objects.create(name="height", value=1)


class Migration(migrations.Migration):
    dependencies = [("values", "0001_initial"), ("auth", "__first__")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
