import os
import platform

print("hello from", platform.python_implementation(), platform.python_version())
print("I am process", os.getpid(), "in", os.getcwd(), "as user", os.getuid())
