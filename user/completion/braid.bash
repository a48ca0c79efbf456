# SPDX-License-Identifier: GPL-2.0
# bash completion for braid(8). Names of volumes and nodes are asked from the command itself.

_braid_volumes()
{
	braid status --json 2>/dev/null | sed -n 's/^      "name": "\(.*\)",$/\1/p'
}

_braid_nodes()
{
	braid node show --json 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",$/\1/p'
}

_braid_options()
{
	braid "$@" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p'
}

_braid()
{
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local verb=${COMP_WORDS[1]} words="" files="" at=2
	local -a name=("$verb")

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="node connect disconnect create replicate up down promote demote resolve forget set delete status why wait
			events options meta version help"
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
		return
	fi
	case $verb in
	node) words="init invite join remove show start stop" ;;
	options) words="set show" ;;
	meta) words="dump check repair" ;;
	esac
	if [ -n "$words" ]; then
		if [ "$COMP_CWORD" -eq 2 ]; then
			mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
			return
		fi
		name+=("${COMP_WORDS[2]}")
		at=3
	fi
	words=""
	case $previous in
	--meta | --force-overwrite | --state-dir) files=yes ;;
	--peer-down | --keep) words=$(_braid_nodes) ;;
	--block-size) words="512 4096" ;;
	--for) words="in-sync connected primary secondary up-to-date healthy off absent greeting waiting source-asked source
		target-starting target joining split refused" ;;
	--payload) words="copy trust" ;;
	--id | --split | --size | --timeout | --count) return ;;
	*)
		case $current in
		-*) words=$(_braid_options "${name[@]}") ;;
		*)
			case "${name[*]}" in
			"node remove" | connect | disconnect) words=$(_braid_nodes) ;;
			up | down | promote | demote | resolve | delete | status | why | wait)
				[ "$COMP_CWORD" -eq "$at" ] && words=$(_braid_volumes) ;;
			forget)
				if [ "$COMP_CWORD" -eq 2 ]; then words=$(_braid_volumes); else words=$(_braid_nodes); fi ;;
			set)
				if [ "$COMP_CWORD" -eq 2 ]; then words=$(_braid_volumes); else words="payload=copy payload=trust"; fi ;;
			create | replicate) [ "$COMP_CWORD" -gt 2 ] && files=yes ;;
			"options set") words="timeout= data-lanes=" ;;
			meta*) files=yes ;;
			esac ;;
		esac ;;
	esac
	if [ -n "$files" ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	else
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	fi
}

complete -F _braid braid
