/* base/list.h — intrusive doubly linked list; an unlinked node points to itself */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/mem.h"

struct list { struct list *next, *prev; };

#define LIST_INIT(l) { &(l), &(l) }
static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_is_empty(const struct list *l) { return l->next == l; }
static inline bool list_is_linked(const struct list *n) { return n->next && n->next != n; }
static inline void list_add_tail(struct list *head, struct list *n)
{
	n->prev = head->prev;
	n->next = head;
	head->prev->next = n;
	head->prev = n;
}
static inline void list_remove(struct list *n)
{
	if (!n->next)
		return;
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}
/* Move all of `from` to the empty head `to`; `from` is empty afterwards. For iterating while callbacks may relink. */
static inline void list_move_all(struct list *to, struct list *from)
{
	list_init(to);
	if (list_is_empty(from))
		return;
	to->next = from->next;
	to->prev = from->prev;
	to->next->prev = to->prev->next = to;
	list_init(from);
}
#define list_first(head, type, member) \
	(list_is_empty(head) ? NULL : container_of((head)->next, type, member))
#define list_for_each(it, head, type, member) \
	for (type *it = container_of((head)->next, type, member); &it->member != (head); \
	     it = container_of(it->member.next, type, member))
/* Safe against removing `it` itself. */
#define list_for_each_safe(it, head, type, member) \
	for (type *it = container_of((head)->next, type, member), \
		  *it##_next = container_of(it->member.next, type, member); \
	     &it->member != (head); \
	     it = it##_next, it##_next = container_of(it->member.next, type, member))
