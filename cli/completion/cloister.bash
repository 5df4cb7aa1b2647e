# Completion of cloister(1) in bash. It needs no bash-completion, only that this file is read.

_cloister_layers="user-namespace pid-namespace mount-namespace net-namespace ipc-namespace uts-namespace
    cgroup-namespace root-overlay proc-mask tmpfs-limits no-new-privs capabilities slot-uid session seccomp
    rlimits cgroup-memory cgroup-pids cgroup-cpu fds"
_cloister_limits="memory cpu wall idle file-size processes output workspace inodes open-files"
_cloister_runtimes="python3 bash c node"
_cloister_commands="run node top sandbox doctor version help --help --version"
_cloister_run="--runtime --command --file --env --limit --policy --output --json --terminal --stdin --no-stdin
    --class --detach --grace --attach --from --label --subject --socket --connect --ca --cert --key --quiet --help -t -i -q -h"
_cloister_run_values="--runtime --file --env --limit --policy --output --class --grace --attach --from --label --subject --socket --connect --ca --cert --key"
_cloister_sandbox="--limit --policy --bind --env --cwd --output --launcher --disable-layer --allow-missing
    --dry-run --json --help -l -p -b -e -h"
_cloister_sandbox_values="--limit --policy --bind --env --cwd --output --launcher --disable-layer --allow-missing -l -p -b -e"
_cloister_node="info runtimes stats --socket --connect --ca --cert --key --help -h"
_cloister_top="--once --json --interval --socket --connect --ca --cert --key --help -h"
_cloister_doctor="--json --help"

# The runtime that the extension of $1 chooses.
_cloister_runtime_of()
{
    case $1 in
        *.py) echo python3 ;;
        *.sh | *.bash) echo bash ;;
        *.c) echo c ;;
        *.js | *.mjs | *.cjs) echo node ;;
    esac
}

_cloister_words()
{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

# Names that a value follows: no blank after the sign.
_cloister_pairs()
{
    mapfile -t COMPREPLY < <(compgen -S = -W "$1" -- "$2")
    compopt -o nospace 2>/dev/null || true
}

_cloister_files()
{
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
    compopt -o filenames 2>/dev/null || true
}

_cloister_directories()
{
    mapfile -t COMPREPLY < <(compgen -d -- "$1")
    compopt -o filenames 2>/dev/null || true
}

# Directories, and files of an extension that chooses a runtime.
_cloister_programs()
{
    local path
    COMPREPLY=()
    while IFS= read -r path; do
        if [[ -d $path || -n $(_cloister_runtime_of "$path") ]]; then
            COMPREPLY+=("$path")
        fi
    done < <(compgen -f -- "$1")
    compopt -o filenames 2>/dev/null || true
}

# The runtime that the file on the line chooses; all of them where there is none.
_cloister_runtime()
{
    local word runtime=
    for word in "${COMP_WORDS[@]:2}"; do
        [[ $word == -* ]] || runtime=${runtime:-$(_cloister_runtime_of "$word")}
    done
    _cloister_words "${runtime:-$_cloister_runtimes}" "$1"
}

# The value of option $1, of which $2 is there. Return: 1 when it takes none.
_cloister_value()
{
    case $1 in
        --limit | -l) _cloister_pairs "$_cloister_limits" "$2" ;;
        --runtime) _cloister_runtime "$2" ;;
        --policy | -p)
            if [[ ${COMP_WORDS[1]} == run ]]; then
                _cloister_words "no-subprocess subprocess" "$2"
            else
                _cloister_words "no-subprocess" "$2"
            fi
            ;;
        --class) _cloister_words "interactive batch" "$2" ;;
        --launcher) _cloister_words "native bwrap" "$2" ;;
        --disable-layer | --allow-missing) _cloister_words "$_cloister_layers" "$2" ;;
        --output | --cwd) _cloister_directories "$2" ;;
        --file | --bind | -b | --socket | --ca | --cert | --key) _cloister_files "$2" ;;
        --env | -e | --label | --grace | --attach | --from | --subject | --connect | --interval) COMPREPLY=() ;;
        *) return 1 ;;
    esac
}

# Whether the program, or --, stands before the word that is completed; $1: options with a value, $2: first word.
_cloister_past_options()
{
    local i
    for ((i = $2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --) return 0 ;;
            -*)
                if [[ " $1 " == *[[:space:]]"${COMP_WORDS[i]}"[[:space:]]* ]]; then
                    ((i++))
                    if [[ ${COMP_WORDS[i + 1]-} == "=" ]]; then ((i += 2)); fi
                fi
                ;;
            *) return 0 ;;
        esac
    done
    return 1
}

_cloister_options()
{
    local options=$1 values=$2 first=$3 word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    if _cloister_past_options "$values" "$first"; then
        _cloister_files "$word"
    elif [[ $before == "=" ]]; then
        COMPREPLY=() # behind NAME=, which bash takes for words of their own
    elif ! _cloister_value "$before" "$word"; then
        if [[ $word == -* ]]; then
            _cloister_words "$options" "$word"
        else
            _cloister_programs "$word"
        fi
    fi
}

_cloister()
{
    local word=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _cloister_words "$_cloister_commands" "$word"
        return 0
    fi
    case ${COMP_WORDS[1]} in
        run) _cloister_options "$_cloister_run" "$_cloister_run_values" 2 ;;
        sandbox)
            if ((COMP_CWORD == 2)); then
                _cloister_words "run --help" "$word"
            else
                _cloister_options "$_cloister_sandbox" "$_cloister_sandbox_values" 3
            fi
            ;;
        node) _cloister_value "${COMP_WORDS[COMP_CWORD - 1]}" "$word" || _cloister_words "$_cloister_node" "$word" ;;
        top) _cloister_value "${COMP_WORDS[COMP_CWORD - 1]}" "$word" || _cloister_words "$_cloister_top" "$word" ;;
        doctor) _cloister_words "$_cloister_doctor" "$word" ;;
    esac
    return 0
}

complete -F _cloister cloister
