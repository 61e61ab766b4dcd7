function __erllama_completion
    set -l line (commandline --cut-at-cursor --current-process | string collect)
    set -l found (env _ERLLAMA_COMPLETE=complete_fish _ERLLAMA_COMPLETE_LINE="$line" erllama 2>/dev/null)
    if set -q found[1]
        printf '%s\n' $found
    else
        __fish_complete_path (commandline --current-token)
    end
end

complete --command erllama --no-files --keep-order --arguments "(__erllama_completion)"
