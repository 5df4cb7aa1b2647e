# For scripts that need something out of a Debian package which nobody wants installed: sourced by bash.

refresh_lists()
{
    if [ "$(id -u)" = 0 ]; then
        apt-get update >&2
    else
        echo "$0: no package lists; run 'apt-get update' as root" >&2
        exit 1
    fi
}

# unpack_package PACKAGE DIRECTORY: downloaded and unpacked into DIRECTORY/tree, never installed.
unpack_package()
{
    mkdir -p "$2"
    # The lists may be older than the archive: one retry with fresh ones.
    (cd "$2" && apt-get -q download "$1" >&2 2>&1) ||
        { refresh_lists; (cd "$2" && apt-get -q download "$1" >&2); }
    dpkg-deb -x "$2"/*.deb "$2/tree"
}
