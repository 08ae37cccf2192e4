"""The fixer ``python2_syntax``."""

from .cases import test_changes, test_keeps, test_tells

__all__ = ["test_changes", "test_keeps", "test_tells"]

CHANGES = [
    ("print 'a', b\n", "print('a', b)\n"),
    ("if x: print\n", "if x: print()\n"),
    ("print >>f, 'a' % b,\n", "print('a' % b, file=f, end=\" \")\n"),
    ("print 'a',  # c\nprint ('%s') % a\n", "print('a', end=\" \")  # c\nprint(('%s') % a)\n"),
    (
        "try:\n    f()\nexcept (A, B), e:\n    raise C, 'no'\n",
        "try:\n    f()\nexcept (A, B) as e:\n    raise C('no')\n",
    ),
    ("x = 0777 <> 10L\nprint x\n", "x = 0o777 != 10\nprint(x)\n"),
    ("print '''\nprint a\n''' ; y = \"print b\"\n", "print('''\nprint a\n''') ; y = \"print b\"\n"),
]

KEEPS = [
    "print('a')\n",
    "print = log\nprint('a', file=f)\n",
    "try:\n    f()\nexcept A as e:\n    raise C('no')\n",
    "x = 'print a'  # print b\n",
    "x = 0o777\n",
]

TELLS = [
    ("exec code in names\nprint a\n", "no Python 3"),
    ("x = 1\nprint a\ny = `x`\n", "2: no Python 3"),
    ("asyncio.async(f())\n", "nothing else was looked at in this file"),
]
