/* test_node_gate.c — the gate's commands as text; and closed, in a network namespace of our own, on loopback
 *
 * What needs a real black hole and a daemon to kill is in test/netns/test_gate.py. Where no namespace can be had, or the kernel
 * has no nf_tables, that part is skipped.
 */
#include "../support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <time.h>

#include "loop/loop.h"
#include "node/gate.h"
#include "node/gate_int.h"
#include "node/sockdiag.h"

#define HELD __attribute__((unused)) cleanup(fd_closep) int	/* listeners live as long as their test */

static bool isolated;
static struct loop *loop;
static struct gate *gate;

static int64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* ---- text ---- */

static void test_text(void **state)
{
	static const char *const texts[] = { "10.0.0.1:6443", "[fd00::1]:6444" };
	cleanup(buf_fini) struct buf table = BUF_INIT, renew = BUF_INIT, removal = BUF_INIT;
	struct endpoint list[2];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(endpoint_parse(texts[i], &list[i]), 0);
	gate_text_table(&table);
	assert_string_equal(table.data,
			    "add table inet edge_healer\n"
			    "add chain inet edge_healer output { type filter hook output priority -300; policy accept; }\n"
			    "add rule inet edge_healer output meta mark 0x2065 accept\n"
			    "add set inet edge_healer api4 { type ipv4_addr . inet_service; flags timeout; timeout 10s; }\n"
			    "add rule inet edge_healer output ip daddr . tcp dport @api4 reject with tcp reset\n"
			    "add set inet edge_healer api6 { type ipv6_addr . inet_service; flags timeout; timeout 10s; }\n"
			    "add rule inet edge_healer output ip6 daddr . tcp dport @api6 reject with tcp reset\n");
	gate_text_renew(&renew, list, 2);
	assert_string_equal(renew.data, "flush set inet edge_healer api4\nflush set inet edge_healer api6\n"
					"add element inet edge_healer api4 { 10.0.0.1 . 6443 }\n"
					"add element inet edge_healer api6 { fd00::1 . 6444 }\n");
	gate_text_remove(&removal);
	assert_string_equal(removal.data, "add table inet edge_healer\ndelete table inet edge_healer\n");
}

/* ---- the kernel ---- */

static void raise_loopback(void)
{
	struct ifreq rq = { .ifr_name = "lo" };
	cleanup(fd_closep) int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &rq), 0);
	rq.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &rq), 0);
}

static int setup_all(void **state)
{
	(void)state;
	isolated = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
	if (isolated)
		raise_loopback();
	return 0;
}

static int setup(void **state)
{
	struct gate_conf conf = { 0 };

	(void)state;
	if (!isolated)
		return 0;
	conf.loop = loop = loop_new();
	gate = gate_new(&conf);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!isolated)
		return 0;
	gate_free(gate);
	loop_free(loop);
	return 0;
}

static void needs_gate(void)
{
	if (!isolated || !gate_can_close(gate)) {
		print_message("SKIP: %s\n", isolated ? gate_fault(gate) : "no network namespace may be made");
		skip();
	}
}

static int family_of(const char *ip)
{
	return strchr(ip, ':') ? AF_INET6 : AF_INET;
}

static socklen_t sockaddr_of(const char *ip, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (void *)out;
	struct sockaddr_in6 *v6 = (void *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)family_of(ip);
	v4->sin_port = htons(port);		/* the same place in both */
	assert_int_equal(inet_pton(family_of(ip), ip, family_of(ip) == AF_INET ? (void *)&v4->sin_addr : &v6->sin6_addr), 1);
	return family_of(ip) == AF_INET ? sizeof(*v4) : sizeof(*v6);
}

static int listen_at(const char *ip, uint16_t port, int backlog)
{
	struct sockaddr_storage sa;
	socklen_t n = sockaddr_of(ip, port, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (void *)&sa, n), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

/* A socket that connects, without waiting: `mark` 0 = none. -errno when it failed at once. */
static int start_connect(const char *ip, uint16_t port, uint32_t mark)
{
	struct sockaddr_storage sa;
	socklen_t n = sockaddr_of(ip, port, &sa);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), r;

	if (mark)
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	r = connect(fd, (void *)&sa, n);
	if (r == 0 || errno == EINPROGRESS)
		return fd;
	r = -errno;
	(void)close(fd);
	return r;
}

/* What becomes of it within `ms`: 0 = connected, -EINPROGRESS = it hangs. */
static int wait_connect(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int e = 0;
	socklen_t n = sizeof(e);

	if (fd < 0)
		return fd;
	if (poll(&p, 1, ms) == 0)
		return -EINPROGRESS;
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
	return -e;
}

static int try_connect(const char *ip, uint16_t port, uint32_t mark)
{
	int fd = start_connect(ip, port, mark), r = wait_connect(fd, 2000);

	if (fd >= 0)
		(void)close(fd);
	return r;
}

static struct endpoint at(const char *ip, uint16_t port)
{
	struct endpoint e;

	assert_int_equal(endpoint_of(ip, port, &e), 0);
	return e;
}

static void test_rejects_only_what_is_listed(void **state)
{
	static const char *const ips[] = { "127.0.0.1", "::1" };
	const struct endpoint list[] = { at("127.0.0.1", 7001), at("::1", 7001) };

	(void)state;
	needs_gate();
	for (size_t i = 0; i < ARRAY_LEN(ips); i++) {
		HELD api = listen_at(ips[i], 7001, 8), other = listen_at(ips[i], 7002, 8);

		assert_int_equal(try_connect(ips[i], 7001, 0), 0);
		assert_int_equal(gate_close(gate, list, 2, NULL), 0);
		assert_true(gate_is_closed(gate));
		assert_int_equal(try_connect(ips[i], 7001, 0), -ECONNREFUSED);
		assert_int_equal(try_connect(ips[i], 7001, 7), -ECONNREFUSED);		/* somebody else's mark */
		assert_int_equal(try_connect(ips[i], 7001, GATE_MARK), 0);		/* our probe */
		assert_int_equal(try_connect(ips[i], 7002, 0), 0);
		assert_int_equal(gate_open(gate), 0);
		assert_false(gate_is_closed(gate));
		assert_int_equal(try_connect(ips[i], 7001, 0), 0);
	}
}

static void test_destinations_are_exchanged(void **state)
{
	const struct endpoint first = at("127.0.0.1", 7001), second = at("127.0.0.1", 7002);
	HELD a = listen_at("127.0.0.1", 7001, 8), b = listen_at("127.0.0.1", 7002, 8);

	(void)state;
	needs_gate();
	assert_int_equal(gate_close(gate, &first, 1, NULL), 0);
	assert_int_equal(gate_close(gate, &second, 1, NULL), 0);
	assert_int_equal(try_connect("127.0.0.1", 7001, 0), 0);
	assert_int_equal(try_connect("127.0.0.1", 7002, 0), -ECONNREFUSED);
}

/* The answer of a connection that was destroyed, without waiting long. */
static int error_of(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int e = 0;
	socklen_t n = sizeof(e);

	(void)poll(&p, 1, 1000);
	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
	return e;
}

static void test_ends_what_hangs(void **state)
{
	const struct endpoint list[] = { at("127.0.0.1", 7001), at("::1", 7001) };
	HELD api4 = listen_at("127.0.0.1", 7001, 8), api6 = listen_at("::1", 7001, 8);
	cleanup(fd_closep) int four = start_connect("127.0.0.1", 7001, 0), six = start_connect("::1", 7001, 0);
	cleanup(fd_closep) int mapped = start_connect("::ffff:127.0.0.1", 7001, 0);	/* as dual-stack programs do */
	HELD ours = start_connect("127.0.0.1", 7001, GATE_MARK), other_api = listen_at("127.0.0.1", 7002, 8);
	cleanup(fd_closep) int other = start_connect("127.0.0.1", 7002, 0);
	size_t destroyed = 0;

	(void)state;
	needs_gate();
	if (gate_fault(gate)) {
		print_message("SKIP: %s\n", gate_fault(gate));
		skip();
	}
	assert_int_equal(wait_connect(four, 1000) | wait_connect(six, 1000) | wait_connect(mapped, 1000), 0);
	assert_int_equal(wait_connect(ours, 1000) | wait_connect(other, 1000), 0);
	assert_int_equal(gate_close(gate, list, 2, &destroyed), 0);
	assert_int_equal(destroyed, 3);
	assert_int_equal(error_of(four), ECONNABORTED);
	assert_int_equal(error_of(six), ECONNABORTED);
	assert_int_equal(error_of(mapped), ECONNABORTED);
	assert_int_equal(send(ours, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(send(other, "x", 1, MSG_NOSIGNAL), 1);
}

/* A listener whose queue is full answers no SYN: the next connect hangs. */
static void test_ends_what_is_still_connecting(void **state)
{
	const struct endpoint e = at("127.0.0.1", 7001);
	HELD api = listen_at("127.0.0.1", 7001, 0), first = start_connect("127.0.0.1", 7001, 0);
	cleanup(fd_closep) int second = -1, hanging = -1;
	size_t destroyed = 0;

	(void)state;
	needs_gate();
	assert_int_equal(wait_connect(first, 1000), 0);
	second = start_connect("127.0.0.1", 7001, 0);
	hanging = start_connect("127.0.0.1", 7001, 0);
	assert_int_equal(wait_connect(hanging, 200), -EINPROGRESS);
	assert_int_equal(gate_close(gate, &e, 1, &destroyed), 0);
	assert_true(destroyed >= 2);
	assert_int_equal(wait_connect(hanging, 1000), -ECONNABORTED);
}

static void on_two_renewals(void *arg)
{
	*(bool *)arg = true;
}

static void test_is_renewed_without_a_gap(void **state)
{
	const struct endpoint e = at("127.0.0.1", 7001);
	HELD api = listen_at("127.0.0.1", 7001, 64);
	struct timer *t;
	bool done = false;
	pid_t child;
	int status = -1;

	(void)state;
	needs_gate();
	assert_int_equal(gate_close(gate, &e, 1, NULL), 0);
	child = fork();
	if (child == 0) {		/* never connected while two renewals and the first expiry pass */
		int64_t end = now_us() + (GATE_EXPIRY_S * 1000 + 500) * 1000LL;

		while (now_us() < end)
			if (try_connect("127.0.0.1", 7001, 0) != -ECONNREFUSED)
				_exit(1);
		_exit(0);
	}
	t = timer_new(loop, "test", on_two_renewals, &done);
	timer_start_ms(t, GATE_EXPIRY_S * 1000 + 1000);
	assert_true(loop_run_until(loop, &done, patient_ms(20000)));
	timer_free(t);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* A child without rights: it says so, and does nothing. */
static void test_without_rights(void **state)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };
	const struct endpoint e = at("127.0.0.1", 7001);
	int status = -1;
	pid_t child;

	(void)state;
	if (!isolated) {
		print_message("SKIP: no network namespace may be made\n");
		skip();
	}
	child = fork();
	if (child == 0) {
		struct gate_conf conf = { .loop = loop };
		struct gate *g;

		if (syscall(SYS_capset, &head, none) != 0)
			_exit(9);
		g = gate_new(&conf);
		if (gate_can_close(g) || gate_is_closed(g))
			_exit(1);
		if (!gate_fault(g) || !strstr(gate_fault(g), "CAP_NET_ADMIN"))
			_exit(2);
		if (gate_close(g, &e, 1, NULL) != GATE_E_UNABLE || gate_open(g) != 0)
			_exit(3);
		gate_free(g);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* The numbers of gate.c; they are told, and only a wild one fails. */
static void test_takes_milliseconds(void **state)
{
	struct endpoint list[GATE_ENDPOINTS_MAX];
	int64_t began, close_us = 0, again_us = 0, open_us = 0;
	enum { ROUNDS = 10 };

	(void)state;
	needs_gate();
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		cleanup(freep) char *ip = str_format("192.0.2.%zu", i + 1);

		list[i] = at(ip, 6443);
	}
	for (int i = 0; i < ROUNDS; i++) {
		began = now_us();
		assert_int_equal(gate_close(gate, list, ARRAY_LEN(list), NULL), 0);
		close_us += now_us() - began;
		began = now_us();
		assert_int_equal(gate_close(gate, list, ARRAY_LEN(list), NULL), 0);
		again_us += now_us() - began;
		began = now_us();
		assert_int_equal(gate_open(gate), 0);
		open_us += now_us() - began;
	}
	print_message("%zu destinations: close %.1f ms, renew and look for connections %.1f ms, open %.1f ms\n", ARRAY_LEN(list),
		      (double)close_us / ROUNDS / 1e3, (double)again_us / ROUNDS / 1e3, (double)open_us / ROUNDS / 1e3);
	assert_true(close_us + again_us + open_us < ROUNDS * 500000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		T(test_rejects_only_what_is_listed),
		T(test_destinations_are_exchanged),
		T(test_ends_what_hangs),
		T(test_ends_what_is_still_connecting),
		T(test_without_rights),
		T(test_takes_milliseconds),
		T(test_is_renewed_without_a_gap),
	};

	return cmocka_run_group_tests(tests, setup_all, NULL);
}
