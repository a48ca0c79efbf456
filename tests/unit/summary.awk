# SPDX-License-Identifier: GPL-2.0
# Adds up the individual tests of all cmocka programs; fails if any failed or none ran.
/^\[  PASSED  \] [0-9]+ test/ { passed += $4 }
/^\[  FAILED  \] [0-9]+ test/ { failed += $4 }
/^died: / { failed++; print "died before its summary: " $2 }
END {
	printf "%d passed, %d failed\n", passed, failed
	exit failed > 0 || passed == 0
}
