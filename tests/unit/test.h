/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The least a unit test needs. A test is a sentence; a check that fails says
 * both values and ends the program, so each test runs in a process of its
 * own (tests/unit/test_unit.py asks for --list and runs one by one).
 */
#ifndef SLUICE_TEST_H
#define SLUICE_TEST_H

#include <stdio.h>
#include <stdlib.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};

void test_register(struct test *test);

#define TEST(sentence)                                                   \
	static void sentence(void);                                      \
	static struct test sentence##_entry = { #sentence, sentence, 0 }; \
	__attribute__((constructor)) static void sentence##_register(void) \
	{                                                                \
		test_register(&sentence##_entry);                        \
	}                                                                \
	static void sentence(void)

#define FAIL(...)                                                   \
	do {                                                        \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);     \
		fprintf(stderr, __VA_ARGS__);                       \
		fputc('\n', stderr);                                \
		abort();                                            \
	} while (0)

#define CHECK(condition)                            \
	do {                                        \
		if (!(condition))                   \
			FAIL("not: %s", #condition); \
	} while (0)

#define CHECK_EQ(actual, expected)                                          \
	do {                                                                \
		unsigned long long a_ = (unsigned long long)(actual);       \
		unsigned long long e_ = (unsigned long long)(expected);     \
		if (a_ != e_)                                               \
			FAIL("%s is %llu (%#llx), expected %llu (%#llx)",   \
			     #actual, a_, a_, e_, e_);                      \
	} while (0)

#define CHECK_STR(actual, expected)                                       \
	do {                                                              \
		const char *a_ = (actual), *e_ = (expected);              \
		if (!test_same_text(a_, e_))                              \
			FAIL("%s is \"%s\", expected \"%s\"", #actual, a_, e_); \
	} while (0)

int test_same_text(const char *a, const char *b);

#endif
