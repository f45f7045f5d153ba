# Compiles the modules below /forge/src into /forge/out, each as the installed file it will be:
# /forge/src/opt/x.py gives /forge/out/opt/__pycache__/x.<tag>.pyc, which says "/opt/x.py".
#
# Run with -s -S -B and a fixed PYTHONHASHSEED. Sources are data here: they are never on sys.path.
# What marshal writes depends on which objects are shared, so every process starts from the same
# state and takes the same files in the same order, whatever the number of CPUs.
import sys

sys.path = [p for p in sys.path if p]

import importlib.util
import os
import py_compile

SRC, OUT, PROCESSES = "/forge/src", "/forge/out", 4


def modules():
    found = []
    for folder, _, names in os.walk(SRC):
        found += [os.path.join(folder, n)[len(SRC) :] for n in names if n.endswith(".py")]
    return sorted(found)


def work(paths):
    for path in paths:
        cached = OUT + importlib.util.cache_from_source(path, optimization="")
        try:
            py_compile.compile(SRC + path, cfile=cached, dfile=path, doraise=True, optimize=0,
                               invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        except py_compile.PyCompileError as error:  # templates, and code for another Python
            print("not compiled:", error.exc_type_name, path)
    sys.stdout.flush()


def main():
    paths, children = modules(), []
    for i in range(PROCESSES):
        child = os.fork()
        if child == 0:
            work(paths[i::PROCESSES])
            os._exit(0)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
    if any(codes):
        sys.exit("compiling ended with %s" % codes)


main()
