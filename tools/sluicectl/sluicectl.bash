# SPDX-License-Identifier: BSD-2-Clause
# Completion for sluicectl; goes to /usr/share/bash-completion/completions/.

_sluicectl()
{
	local word=${COMP_WORDS[COMP_CWORD]}
	local previous=${COMP_WORDS[COMP_CWORD-1]}
	local words="version status list stats log panic-log trace gate
		overlay fault --device --json --help"

	case $previous in
	-d|--device)
		words=$(compgen -G '/dev/nvme[0-9]*')
		;;
	log)
		words=-f
		;;
	trace)
		words="list start stop save follow summary export"
		;;
	gate)
		words="list ro none"
		;;
	overlay)
		words="list commit discard"
		;;
	fault)
		words="list"
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _sluicectl sluicectl
