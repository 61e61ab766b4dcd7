_erllama_completion() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(
        _ERLLAMA_COMPLETE=complete_bash _ERLLAMA_COMPLETE_LINE="${COMP_LINE:0:COMP_POINT}" \
            _ERLLAMA_COMPLETE_WORD="$2" "$1" 2>/dev/null
    )
}

complete -o default -F _erllama_completion erllama
