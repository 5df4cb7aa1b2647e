#!/usr/bin/env python3
"""Turn statements.sql and migrations/*.sql into C tables, one text per dialect.

statements.sql holds named statements in the dialect that SQLite >= 3.35 and PostgreSQL 15 share:

    -- name: account_by_login
    -- scan: reason               (optional: a full scan is meant; the EXPLAIN test lets it pass)
    SELECT id FROM account WHERE login = ?t;

Placeholders carry their type: ?t text, ?i 64-bit integer, ?b bytes. `{sqlite|...}` and `{pg|...}` keep
their text for one dialect only. From the CREATE TABLE lines of the migrations come a dump_<table> and
a load_<table> statement for every table (backup and restore), so that no table can be forgotten.
"""
import hashlib
import pathlib
import re
import sys

PLACEHOLDER = re.compile(r"\?([tib])\b")
ONE_DIALECT = re.compile(r"\{(sqlite|pg)\|([^{}]*)\}")


def for_dialect(text, dialect):
    return ONE_DIALECT.sub(lambda m: m.group(2) if m.group(1) == dialect else "", text)


def rewrite(text, dialect):
    text = for_dialect(text, dialect)
    number = 0

    def place(_match):
        nonlocal number
        number += 1
        return "?%d" % number if dialect == "sqlite" else "$%d" % number

    return PLACEHOLDER.sub(place, text), "".join(PLACEHOLDER.findall(text))


def ddl(text, dialect):
    text = for_dialect(text, dialect)
    if dialect == "pg":
        text = re.sub(r"\bBLOB\b", "BYTEA", text)
        text = re.sub(r"(REFERENCES \w+ \(\w+\))", r"\1 DEFERRABLE INITIALLY IMMEDIATE", text)
        text = re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', text)
    return text


def c_string(text):
    lines = text.split("\n")
    out = []
    for i, line in enumerate(lines):
        escaped = line.replace("\\", "\\\\").replace('"', '\\"')
        out.append('    "%s%s"' % (escaped, "\\n" if i + 1 < len(lines) else ""))
    return "\n".join(out)


def parse_statements(path):
    statements, name, scan, body = [], None, None, []

    def flush():
        if name is None:
            return
        text = " ".join(" ".join(body).split()).rstrip(";").strip()
        if not text:
            sys.exit("%s: statement %s is empty" % (path, name))
        statements.append((name, scan, text))

    for number, line in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r"-- (name|scan): *(.*)", line)
        if m and m.group(1) == "name":
            flush()
            name, scan, body = m.group(2).strip(), None, []
        elif m:
            scan = m.group(2).strip()
        elif line.startswith("--") or not line.strip():
            continue
        elif name is None:
            sys.exit("%s:%d: text before the first name" % (path, number))
        else:
            body.append(line.strip())
    flush()
    return statements


def parse_tables(migrations):
    """Columns of every table, in the order of their creation: {table: [(column, 't'|'i'|'b')]}"""
    tables, current = {}, None
    kinds = {"TEXT": "t", "BIGINT": "i", "BLOB": "b"}
    for path in migrations:
        for line in path.read_text().splitlines():
            m = re.match(r"CREATE TABLE (\w+)", line)
            added = re.match(r"ALTER TABLE (\w+) ADD COLUMN (\w+) (TEXT|BIGINT|BLOB)\b", line)
            column = re.match(r"    (\w+) (TEXT|BIGINT|BLOB)\b", line)
            if m:
                current = m.group(1)
                tables[current] = []
            elif added:
                tables[added.group(1)].append((added.group(2), kinds[added.group(3)]))
            elif line.startswith(")"):
                current = None
            elif current and column:
                tables[current].append((column.group(1), kinds[column.group(2)]))
    return tables


def dump_and_load(tables):
    made = []
    for table, columns in tables.items():
        names = ", ".join(name for name, _ in columns)
        marks = ", ".join("?" + kind for _, kind in columns)
        made.append(("dump_" + table, "backup reads whole tables", "SELECT %s FROM %s" % (names, table)))
        made.append(("load_" + table, None, "INSERT INTO %s (%s) VALUES (%s)" % (table, names, marks)))
    return made


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    migrations = sorted((source / "migrations").glob("[0-9][0-9][0-9][0-9]_*.sql"))
    tables = parse_tables(migrations)
    statements = parse_statements(source / "statements.sql") + dump_and_load(tables)
    names = [name for name, _, _ in statements]
    if len(set(names)) != len(names):
        sys.exit("a statement's name is used twice: %s" % sorted({n for n in names if names.count(n) > 1}))

    head = ["#pragma once", "/* Made by gen_statements.py from statements.sql and migrations/. */", "",
            "enum db_statement {"]
    head += ["    SQL_%s," % name.upper() for name in names]
    head += ["    SQL_COUNT", "};", "", "/* How many arguments each takes: db_query() and db_exec() check it when they are compiled. */", "enum {"]
    head += ["    SQL_%s_N = %d," % (name.upper(), len(PLACEHOLDER.findall(for_dialect(text, "pg"))))
             for name, _, text in statements]
    head += ["};", ""]
    (out / "statements_gen.h").write_text("\n".join(head))

    body = ['#include "frontgw/store/statement.h"', "", "const struct db_statement_info db_statements[SQL_COUNT] = {"]
    for name, scan, text in statements:
        sqlite, params = rewrite(text, "sqlite")
        pg, pg_params = rewrite(text, "pg")
        if params != pg_params:
            sys.exit("%s: the dialects take different parameters" % name)
        body.append('    [SQL_%s] = {"%s",\n%s,\n%s,\n     "%s", %s},' % (
            name.upper(), name, c_string(sqlite), c_string(pg), params,
            '"%s"' % scan.replace('"', "'") if scan else "0"))
    body.append("};\n")
    body.append("const struct db_table_info db_tables[] = {")
    for table, columns in tables.items():
        body.append('    {"%s", "%s", SQL_DUMP_%s, SQL_LOAD_%s},' % (
            table, "".join(kind for _, kind in columns), table.upper(), table.upper()))
    body.append("    {0, 0, 0, 0}};\n")
    body.append("const struct db_migration db_migrations[] = {")
    for i, path in enumerate(migrations, 1):
        text = path.read_text()
        if int(path.name[:4]) != i:
            sys.exit("migrations must be numbered without a gap: %s" % path.name)
        body.append('    {%d, "%s", "%s",\n%s,\n%s},' % (
            i, path.stem, hashlib.sha256(text.encode()).hexdigest(),
            c_string(ddl(text, "sqlite")), c_string(ddl(text, "pg"))))
    body.append("    {0, 0, 0, 0, 0}};\n")
    (out / "statements_gen.c").write_text("\n".join(body))


main()
