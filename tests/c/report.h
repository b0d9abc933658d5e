/* Between main.c and the harness. */
#ifndef FNN_TESTS_REPORT_H
#define FNN_TESTS_REPORT_H

extern int n_passed, n_failed; /* cases */
extern int is_silent;
extern const char *where; /* which family, instruction set and dtype */

int print_operations_that_were_not_called(void);

#endif
