/* agent/uplink.h — private to agent/: the times of the link, see uplink.c */
#pragma once
#include "agent_int.h"

#define READ_MS 5000			/* our own Node is read when nothing was asked for this long */
#define READ_LATE_MS 15000		/* a read without an answer is an error after this, or twice as late as the last … */
#define READ_TIMEOUT_MS 120000		/* … and is still waited for */
/* Of a Node the metadata will do: it is large. */
#define READ_ACCEPT "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json"
#define LOOK_MS 5000			/* how often credentials and addresses are read again while something is wrong */
#define AVOID_MS 5000			/* a way whose requests end in errors alone for this long is left for another */
#define TICK_MS 1000			/* a change of state that is due and held up is looked at again after this */
#define USEFUL_MS 20000			/* tag api=1: a useful answer within this */
