#!/usr/bin/env bash
# with_postgres.sh COMMAND...: run it with a PostgreSQL of its own, on a unix socket in a directory of its own,
# named by TEST_POSTGRES_URL. The server and the directory are gone when the command has ended.
set -u
bin=
for dir in /usr/lib/postgresql/*/bin; do [ -x "$dir/initdb" ] && bin=$dir; done
if [ -z "$bin" ]; then
    echo "with_postgres.sh: no initdb below /usr/lib/postgresql" >&2
    [ "${TESTS_MUST_RUN:-0}" = 1 ] && exit 1
    exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/cloister-pg.XXXXXX") || exit 1
as=()
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
    chown postgres: "$dir"
    as=(setpriv --reuid postgres --regid postgres --clear-groups --)
fi
stop() {
    [ -f "$dir/data/postmaster.pid" ] && "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 143' TERM INT HUP
cd "$dir" || exit 1
"${as[@]}" "$bin/initdb" -D "$dir/data" -U cloister -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1 ||
    { cat "$dir/initdb.log" >&2; exit 1; }
"${as[@]}" "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/server.log" \
    -o "-c listen_addresses='' -c unix_socket_directories='$dir' -c fsync=off -c shared_buffers=32MB -c max_connections=60" \
    start >/dev/null || { cat "$dir/server.log" >&2; exit 1; }
"$bin/createdb" -h "$dir" -U cloister cloister || exit 1
export TEST_POSTGRES_URL="postgresql://cloister@/cloister?host=$dir"
export TEST_POSTGRES_DIR="$dir" TEST_POSTGRES_BIN="$bin"
cd - >/dev/null || exit 1
"$@"
