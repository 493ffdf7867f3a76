# SPDX-License-Identifier: BSD-2-Clause
# Completion for sluicectl; goes to /usr/share/bash-completion/completions/.

_sluicectl_command()
{
	local i

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-d|--device)
			((i++))
			;;
		-*)
			;;
		*)
			echo "${COMP_WORDS[*]:i:COMP_CWORD-i}"
			return
			;;
		esac
	done
}

# What may follow the words of a command.
_sluicectl_words()
{
	case $1 in
	"")
		echo version status list stats log panic-log trace gate \
			overlay fault crypt --device --json --help
		;;
	log)
		echo -f
		;;
	trace)
		echo list start stop save follow summary export
		;;
	"trace export")
		echo fio blkparse csv
		;;
	"trace save"|"trace summary"|"trace export "*)
		compgen -f -- "$2"
		;;
	gate)
		echo list ro none
		;;
	"gate ro"|"gate none")
		echo PARTUUID= PARTLABEL=
		;;
	overlay)
		echo list commit discard
		;;
	fault)
		echo list clear delay= drop error= tear=
		;;
	"fault list"|"fault clear"*)
		;;
	fault\ *)
		echo delay= drop error= tear= on= lba= nth= every= one-in= \
			times= PARTUUID= PARTLABEL=
		;;
	crypt)
		echo list
		;;
	esac
}

_sluicectl()
{
	local word=${COMP_WORDS[COMP_CWORD]} words

	case ${COMP_WORDS[COMP_CWORD-1]} in
	-d|--device)
		words=$(compgen -G '/dev/nvme[0-9]*')
		;;
	*)
		words=$(_sluicectl_words "$(_sluicectl_command)" "$word")
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _sluicectl sluicectl
