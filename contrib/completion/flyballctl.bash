# SPDX-License-Identifier: ISC
# Completion of flyballctl for bash. What may come next is flyballctl's own
# knowledge: `flyballctl complete` says it.
_flyballctl() {
	local cur line
	# Conditions hold a "=", lanes a ":": words are ours, not readline's.
	if declare -F _get_comp_words_by_ref >/dev/null; then
		local words cword
		_get_comp_words_by_ref -n "=:" cur words cword
	else
		local words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
		cur=${COMP_WORDS[COMP_CWORD]}
	fi
	COMPREPLY=()
	while IFS= read -r line; do
		[[ $line == "$cur"* ]] && COMPREPLY+=("$line")
	done < <("${words[0]}" complete "${words[@]:1:cword-1}" 2>/dev/null)
	# provider= wants its value at once.
	[[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] &&
		compopt -o nospace
	if declare -F __ltrim_colon_completions >/dev/null; then
		__ltrim_colon_completions "$cur"
	fi
}
# File names where nothing else is known: passwd -f, check-config.
complete -o default -F _flyballctl flyballctl
