# For whoever runs the suites: each reports on the second serial port, one line per name: `VM <name> ok` or
# `VM <name> FAIL <detail>`, and says how long it took.
RESULTS=/dev/ttyS1
stty -F $RESULTS raw -echo

report()
{
    echo "VM $*" >$RESULTS
    echo "VM $*"
}

# note WORDS: what is printed, whatever it says.
note()
{
    echo "NOTE $*" >$RESULTS
    echo "NOTE $*"
}

# check NAME COMMAND...: ok when the command succeeds; its last line is the detail otherwise.
check()
{
    check_name=$1
    shift
    if "$@" >/tmp/check.log 2>&1; then
        report "$check_name" ok
    else
        report "$check_name" FAIL "status $?: $(tail -n 1 /tmp/check.log)"
        sed 's/^/    /' /tmp/check.log
    fi
}

# bounded SECONDS COMMAND...: like timeout(1), but shows where everybody stands before it kills.
bounded()
{
    bounded_seconds=$1
    shift
    "$@" &
    bounded_pid=$!
    (
        sleep "$bounded_seconds"
        echo "no end within $bounded_seconds s; who waits where:"
        for task in /proc/[0-9]*; do
            echo "$task $(cat "$task/comm") $(cut -d' ' -f3 "$task/stat")"
            cat "$task/stack"
        done 2>/dev/null | grep -v '^$'
        kill -9 $bounded_pid
    ) &
    bounded_watch=$!
    wait $bounded_pid
    bounded_status=$?
    kill $bounded_watch 2>/dev/null
    return $bounded_status
}

# run_tap PREFIX SECONDS COMMAND...: one name per case of a test program that speaks TAP (cmocka does).
run_tap()
{
    tap_prefix=$1
    tap_limit=$2
    shift 2
    CMOCKA_MESSAGE_OUTPUT=TAP TESTS_MUST_RUN=1 bounded "$tap_limit" "$@" >/tmp/tap.log 2>&1
    tap_status=$?
    sed 's/^/    /' /tmp/tap.log
    grep -E '^(not )?ok ' /tmp/tap.log >/tmp/tap.cases
    while read -r word rest; do
        verdict=ok
        if [ "$word" = not ]; then
            verdict=FAIL
            rest=${rest#ok }
        fi
        case "$rest" in *'# SKIP'*) verdict='FAIL skipped' ;; esac
        name=${rest#* - }
        report "$tap_prefix.${name%% *}" "$verdict"
    done </tmp/tap.cases
    if [ $tap_status = 0 ]; then
        report "$tap_prefix" ok
    else
        report "$tap_prefix" FAIL "status $tap_status: $(tail -n 1 /tmp/tap.log)"
    fi
}

# run_lines PREFIX SECONDS COMMAND...: the same for one that prints `ok NAME ...` and `FAILED NAME ...`.
run_lines()
{
    lines_prefix=$1
    lines_limit=$2
    shift 2
    TESTS_MUST_RUN=1 bounded "$lines_limit" "$@" >/tmp/lines.log 2>&1
    lines_status=$?
    sed 's/^/    /' /tmp/lines.log
    while read -r word name rest; do
        case $word in
        ok) report "$lines_prefix.$name" ok ;;
        FAILED) report "$lines_prefix.$name" FAIL "$rest" ;;
        esac
    done </tmp/lines.log
    if [ $lines_status = 0 ]; then
        report "$lines_prefix" ok
    else
        report "$lines_prefix" FAIL "status $lines_status: $(tail -n 1 /tmp/lines.log)"
    fi
}

# run_suites: in the order of their names; then the machine may go.
run_suites()
{
    for suite in /suites/*.sh; do
        suite_began=$(cut -d. -f1 /proc/uptime)
        . "$suite"
        echo "TIME $(basename "$suite" .sh) $(($(cut -d. -f1 /proc/uptime) - suite_began)) s" >$RESULTS
    done
    echo "END" >$RESULTS
    sync
}
