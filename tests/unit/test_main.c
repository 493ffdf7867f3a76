/* SPDX-License-Identifier: BSD-2-Clause */
/* main() of every unit test program: --list, or the names to run. */
#include <string.h>

#include "test.h"

static struct test *tests, **tests_end = &tests;

void test_register(struct test *test)
{
	*tests_end = test;
	tests_end = &test->next;
}

int test_same_text(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static int list(void)
{
	for (struct test *test = tests; test; test = test->next)
		puts(test->name);
	return 0;
}

static int is_wanted(const struct test *test, int argc, char **argv)
{
	if (argc < 2)
		return 1;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], test->name))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	int run_count = 0;

	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list();
	for (struct test *test = tests; test; test = test->next) {
		if (!is_wanted(test, argc, argv))
			continue;
		test->run();
		run_count++;
		printf("ok %s\n", test->name);
	}
	return run_count ? 0 : 2;
}
