/* loop/op.h — one asynchronous operation
 *
 * A call that takes time returns an op. Its callback fires at most once, from the loop, never inside the starting call.
 * op_cancelp() means "forget me" (the callback will not run), not "undo it"; it NULLs the caller's pointer. After the
 * callback ran the op is gone: the holder sets its pointer to NULL in the callback.
 */
#pragma once

struct op;				/* adapters embed it as their first member */
struct op { void (*cancel)(struct op *op); };
void op_cancelp(struct op **op);	/* NULL-safe */
