"""Builds the sandbox around itself and runs one Python program in it; started by `sandbox.py`.

Linux only, standard library only, run by its path with `python -I -S`. New namespaces of users,
mounts, network, processes and IPC are entered; the file system becomes a few read-only folders
that Python needs and one empty folder in memory; the network is a loopback that is down. Any step
that fails ends it with `REFUSED` before the program is touched.

The chain of processes: this one writes the user mapping and waits; its child builds the file
system; whose child is process 1 of the new namespace, has no rights, and waits for the program.
Each dies with the one before it.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys

REFUSED = 125
"Exit code: the sandbox could not be made; the reason is on standard error."
WORK = "/togi-box"
"The one folder that can be written to, inside."
ROOT = "/tmp"
"Where the new root is put together, in a mount namespace of its own."
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
FILES = ("/etc/ld.so.cache", "/etc/localtime")
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")

UNSHARED = 0x10000000 | 0x00020000 | 0x40000000 | 0x20000000 | 0x08000000 | 0x04000000
"User, mount, network, process, IPC and host name namespaces."
PRIVATE = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE
NOSUID, NODEV, NOEXEC = 2, 4, 8
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442  # the same on every architecture
CLONE, RECURSIVE, EMPTY_PATH, HERE = 1, 0x8000, 0x1000, -100
NOBODY = 65534

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """Raise the C library's error where a call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends."""
    checked(libc.prctl(1, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def attributes(fd: int, flags: int, recursive: bool = True) -> None:
    """Set mount attributes: 1 read-only, 2 no set-uid, 4 no devices."""
    given = (ctypes.c_uint64 * 4)(flags, 0, 0, 0)
    how = EMPTY_PATH | (RECURSIVE if recursive else 0)
    checked(
        libc.syscall(MOUNT_SETATTR, fd, b"", how, ctypes.byref(given), ctypes.sizeof(given)),
        "mount_setattr",
    )


def copy_of(path: str, flags: int) -> int:
    """Return a detached copy of a mount tree with these attributes."""
    how = CLONE | os.O_CLOEXEC | RECURSIVE
    fd = checked(libc.syscall(OPEN_TREE, HERE, os.fsencode(path), how), f"open_tree {path}")
    attributes(fd, flags)
    return fd


def put(fd: int, path: str) -> None:
    """Attach a detached mount tree at a path below the new root."""
    how = 4  # MOVE_MOUNT_F_EMPTY_PATH
    checked(libc.syscall(MOVE_MOUNT, fd, b"", HERE, os.fsencode(path), how), f"move_mount {path}")
    os.close(fd)


def mount_memory(path: str, options: str, flags: int) -> None:
    """Mount an empty file system in memory."""
    checked(libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", flags, options.encode()), "mount")


def build_root(python: list[str], disk_mb: int) -> None:
    """Make the new root and change into it."""
    checked(libc.mount(b"none", b"/", None, PRIVATE, None), "mount / private")
    links, trees = {}, {}
    for path in (*SYSTEM, *python):
        if os.path.islink(path) and path in SYSTEM:
            links[path] = os.readlink(path)
        elif os.path.isdir(path) and not any(inside(path, other) for other in trees):
            trees[path] = copy_of(path, 1 | NOSUID | NODEV)
    files = {path: copy_of(path, 1 | NOSUID | NODEV) for path in FILES if os.path.isfile(path)}
    devices = {path: copy_of(path, NOSUID) for path in DEVICES if os.path.exists(path)}
    mount_memory(ROOT, "size=1m,mode=0755,nr_inodes=4096", NOSUID)
    for path, fd in trees.items():
        os.makedirs(ROOT + path, mode=0o755, exist_ok=True)
        put(fd, ROOT + path)
    for path, fd in {**files, **devices}.items():
        os.makedirs(os.path.dirname(ROOT + path), mode=0o755, exist_ok=True)
        os.close(os.open(ROOT + path, os.O_CREAT | os.O_WRONLY, 0o644))
        put(fd, ROOT + path)
    for path, target in links.items():
        os.symlink(target, ROOT + path)
    os.mkdir(ROOT + WORK)
    mount_memory(ROOT + WORK, f"size={disk_mb}m,mode=0777,nr_inodes=1024", NOSUID | NODEV | NOEXEC)
    os.chdir(ROOT)
    top = os.open(ROOT, os.O_PATH | os.O_CLOEXEC)
    attributes(top, 1, recursive=False)
    os.close(top)
    checked(libc.pivot_root(b".", b"."), "pivot_root")
    checked(libc.umount2(b".", 2), "umount2")
    os.chdir(WORK)


def inside(path: str, folder: str) -> bool:
    """Say whether a path lies in a folder that is there already."""
    return path == folder or path.startswith(folder + "/")


def limit(limits: dict) -> None:
    """Set the limits of the program and of all that it starts."""
    memory, disk = limits["memory_mb"] << 20, limits["disk_mb"] << 20
    wanted = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: int(limits["seconds"]) + 1,
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_FSIZE: disk,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in wanted.items():
        resource.setrlimit(what, (most, most))


def drop_rights(uid: int) -> None:
    """Become a user without rights who can gain none; capabilities fall with the next exec."""
    if os.getuid() != uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    checked(libc.prctl(38, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def run_program(limits: dict, python: str, source: bytes, token_fd: int, ready_fd: int) -> int:
    """Run the program as a child of process 1, and return its exit code."""
    with open("program.py", "wb") as file:
        file.write(source)
    limit(limits)
    child = os.fork()
    if child == 0:
        os.setsid()
        nothing = os.open("/dev/null", os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.set_inheritable(token_fd, True)
        os.write(ready_fd, b"!")
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": WORK, "TMPDIR": WORK, "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        }  # fmt: skip
        os.execve(python, [python, "-I", "-B", "program.py"], environment)
    while True:
        ended, status = os.wait()
        if ended == child:
            return os.waitstatus_to_exitcode(status)


def code_of(status: int) -> int:
    """Turn a wait status into an exit code; ended by signal n is 128 + n."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def built(order: dict, source: bytes, mapped: int, token_fd: int, ready_fd: int) -> int:
    """Enter the namespaces, build the root, and run the program as process 1's child."""
    if os.read(mapped, 1) != b"!":
        raise OSError("the users of the new namespace were not mapped")
    die_with_parent()
    with contextlib.suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")  # where it may be set: no namespaces inside this one
    build_root(order["folders"], order["limits"]["disk_mb"])
    first = os.fork()
    if first == 0:
        drop_rights(order["uid"])
        die_with_parent()
        code = run_program(order["limits"], order["python"], source, token_fd, ready_fd)
        os._exit(128 - code if code < 0 else code)
    return code_of(os.waitpid(first, 0)[1])


def write_map(pid: int, order: dict) -> None:
    """Map the users of the new namespace; root maps a user without rights beside itself."""
    with open(f"/proc/{pid}/setgroups", "w") as file:
        file.write("allow" if os.getuid() == 0 else "deny")
    for name, own in (("uid_map", os.getuid()), ("gid_map", os.getgid())):
        lines = f"0 0 1\n{order['uid']} {NOBODY} 1\n" if own == 0 else f"{own} {own} 1\n"
        with open(f"/proc/{pid}/{name}", "w") as file:
            file.write(lines)


def guarded(work, *given) -> int:
    """Return what the work returns, or `REFUSED` with the reason told."""
    try:
        return work(*given)
    except Exception as error:  # noqa: BLE001 - whatever fails, the program must not be run
        print(f"sandbox: {type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return REFUSED


def started(order: dict, source: bytes, token_fd: int, ready_fd: int) -> int:
    """Start the child that enters the namespaces, map its users, and wait for it."""
    die_with_parent()
    signal.alarm(int(order["limits"]["seconds"]) + 30)  # should the starter die before that holds
    os.set_inheritable(ready_fd, False)
    unshared, entered = os.pipe()
    mapped, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        try:
            checked(libc.unshare(UNSHARED), "unshare")
        except OSError as error:
            os.write(entered, f"{error}".encode())
            os._exit(REFUSED)
        os.write(entered, b"!")
        os._exit(guarded(built, order, source, mapped, token_fd, ready_fd))
    told = os.read(unshared, 200)
    if told != b"!":
        os.waitpid(pid, 0)
        raise OSError(told.decode(errors="replace"))
    write_map(pid, order)
    os.write(go, b"!")
    return code_of(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    size = int(sys.stdin.buffer.readline())
    whole_order = json.loads(sys.stdin.buffer.read(size))
    program = sys.stdin.buffer.read()
    sys.exit(guarded(started, whole_order, program, int(sys.argv[1]), int(sys.argv[2])))
