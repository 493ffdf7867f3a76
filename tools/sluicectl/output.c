/* SPDX-License-Identifier: BSD-2-Clause */
/* What a command has to say, as JSON or as tables for people. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluicectl.h"

#define COLUMN_MAX 32
#define TEXT_MAX 512

bool output_is_json;

static const char *text_of(const json_t *value, char text[TEXT_MAX])
{
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_integer(value))
		snprintf(text, TEXT_MAX, "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
	else if (json_is_real(value))
		snprintf(text, TEXT_MAX, "%.1f", json_real_value(value));
	else
		snprintf(text, TEXT_MAX, "%s",
			 json_is_true(value) ? "yes" :
			 json_is_false(value) ? "no" : "-");
	return text;
}

/* "log_end" is "log end" to people. */
static void print_key(const char *key, int width)
{
	for (; *key; key++, width--)
		putchar(*key == '_' ? ' ' : *key);
	printf("%*s", width > 0 ? width : 0, "");
}

/* ---- Tables ---------------------------------------------------------- */

struct table {
	const char *keys[COLUMN_MAX];
	int widths[COLUMN_MAX];
	u32 count;
};

static u32 column_of(struct table *table, const char *key)
{
	u32 i = 0;

	while (i < table->count && strcmp(table->keys[i], key))
		i++;
	if (i == table->count && i < COLUMN_MAX) {
		table->keys[table->count++] = key;
		table->widths[i] = strlen(key);
	}
	return i;
}

static void measure(struct table *table, json_t *rows)
{
	char text[TEXT_MAX];
	json_t *row, *value;
	const char *key;
	size_t index;

	json_array_foreach(rows, index, row)
		json_object_foreach(row, key, value) {
			u32 column = column_of(table, key);
			int width = strlen(text_of(value, text));

			if (column < COLUMN_MAX &&
			    width > table->widths[column])
				table->widths[column] = width;
		}
}

static void print_cell(const struct table *table, u32 column,
		       const json_t *value)
{
	bool is_last = column + 1 == table->count;
	int width = table->widths[column];
	char text[TEXT_MAX];

	if (json_is_number(value))
		printf("%*s", width, text_of(value, text));
	else
		printf("%-*s", is_last ? 0 : width, text_of(value, text));
	fputs(is_last ? "\n" : "  ", stdout);
}

static void print_table(json_t *rows)
{
	struct table table = { .count = 0 };
	size_t index;
	json_t *row;

	measure(&table, rows);
	for (u32 i = 0; i < table.count; i++) {
		print_key(table.keys[i], table.widths[i]);
		fputs(i + 1 == table.count ? "\n" : "  ", stdout);
	}
	json_array_foreach(rows, index, row)
		for (u32 i = 0; i < table.count; i++)
			print_cell(&table, i,
				   json_object_get(row, table.keys[i]));
}

static void print_object(json_t *object)
{
	char text[TEXT_MAX];
	const char *key;
	json_t *value;
	int width = 0;

	json_object_foreach(object, key, value)
		if (!json_is_array(value) && (int)strlen(key) > width)
			width = strlen(key);
	json_object_foreach(object, key, value) {
		if (json_is_array(value)) {
			printf("\n%s\n", key);
			print_table(value);
			continue;
		}
		print_key(key, width);
		printf("  %s\n", text_of(value, text));
	}
}

enum result output(json_t *value)
{
	must(value);
	if (output_is_json) {
		json_dumpf(value, stdout,
			   JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else if (json_is_array(value)) {
		print_table(value);
	} else {
		print_object(value);
	}
	json_decref(value);
	return fflush(stdout) ? fail(RESULT_FAILED, "%s", strerror(errno)) :
		RESULT_GOOD;
}

/* ---- Lines of a plug-in ---------------------------------------------- */

/* A stranger's label may be no UTF-8, which JSON has to be. */
static json_t *value_of(const char *text)
{
	char *end;
	long long number = strtoll(text, &end, 10);
	json_t *value;
	char *plain;

	if (isdigit((unsigned char)*text) && !*end && errno != ERANGE)
		return must(json_integer(number));
	value = json_string(text);
	if (value)
		return value;
	plain = must(strdup(text));
	for (char *c = plain; *c; c++)
		*c = *c & 0x80 ? '?' : *c;
	value = must(json_string(plain));
	free(plain);
	return value;
}

static json_t *object_of(char *line)
{
	json_t *object = must(json_object());
	char *rest, *word = strtok_r(line, "\t", &rest);

	for (; word; word = strtok_r(NULL, "\t", &rest)) {
		char *equals = strchr(word, '=');

		if (!equals)
			continue;
		*equals = '\0';
		errno = 0;
		json_object_set_new(object, word, value_of(equals + 1));
	}
	return object;
}

void output_add_lines(json_t *array, const char *text)
{
	char *copy = must(strdup(text));
	char *rest, *line = strtok_r(copy, "\n", &rest);

	for (; line; line = strtok_r(NULL, "\n", &rest))
		json_array_append_new(array, object_of(line));
	free(copy);
}
