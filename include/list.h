/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Doubly linked intrusive lists; the head is an element of its own. `next` is
 * written in one go, so that list_is_empty() may be asked without the lock of
 * a list, as a hint.
 */
#ifndef SLUICE_LIST_H
#define SLUICE_LIST_H

#include "barrier.h"
#include "types.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(head) { &(head), &(head) }

static inline void list_init(struct list *head)
{
	WRITE_ONCE(head->next, head);
	head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
	return READ_ONCE(head->next) == head;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	WRITE_ONCE(head->prev->next, node);
	head->prev = node;
}

/* The node is left linked to itself, so removing it twice is harmless. */
static inline void list_add_head(struct list *head, struct list *node)
{
	list_add_tail(head->next, node);
}

static inline void list_remove(struct list *node)
{
	WRITE_ONCE(node->prev->next, node->next);
	node->next->prev = node->prev;
	list_init(node);
}

/* First node taken off the list, or NULL. */
static inline struct list *list_pop(struct list *head)
{
	struct list *node = head->next;

	if (node == head)
		return NULL;
	list_remove(node);
	return node;
}

/* Moves all of `from` to the end of `to`. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_is_empty(from))
		return;
	from->next->prev = to->prev;
	WRITE_ONCE(to->prev->next, from->next);
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_for_each(node, head) \
	for ((node) = (head)->next; (node) != (head); (node) = (node)->next)

/* The body may remove `node`. */
#define list_for_each_safe(node, after, head)                          \
	for ((node) = (head)->next, (after) = (node)->next;            \
	     (node) != (head); (node) = (after), (after) = (node)->next)

#endif
