from django.contrib.auth.hashers import make_password
from django.db import migrations


def create(apps, schema_editor):
    User = apps.get_model("auth", "User")
    User.objects.create(username="editor", password=make_password("secret"), is_staff=True, is_superuser=True)
    Blog = apps.get_model("blogs", "Blog")
    Blog.objects.create(title="The launch", slug="launch")
    Blog.objects.create(title="The weather", slug="weather")


class Migration(migrations.Migration):
    dependencies = [("blogs", "0001_initial"), ("auth", "__first__")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
