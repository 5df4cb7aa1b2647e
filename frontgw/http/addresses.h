#pragma once
/*
 * Internet addresses as text and as keys: how many connections each has, which networks are
 * trusted. An IPv6 client is its /64, because that is what a site gives to one machine; an
 * IPv4-mapped one is the IPv4 address.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct err;

struct ip {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
};

int ip_parse(const char *text, struct ip *ret);
int ip_from_sockaddr(const struct sockaddr *address, struct ip *ret);
/** ip_format() - shortest usual form. */
void ip_format(const struct ip *ip, char *ret, size_t size);
bool ip_is_v4(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
/** ip_client_key() - the part that stands for one client. */
struct ip ip_client_key(const struct ip *ip);

/* A list of networks: "127.0.0.1/32 10.0.0.0/8 fd00::/8", separated by blanks or commas. */
struct ip_nets;
int ip_nets_new(const char *text, struct ip_nets **ret, struct err *err);
struct ip_nets *ip_nets_free(struct ip_nets *nets);
bool ip_nets_has(const struct ip_nets *nets, const struct ip *ip);

/**
 * ip_client_of() - who really asks, behind trusted proxies
 * @forwarded_for: X-Forwarded-For, may be NULL; read from the right as long as its senders are
 * trusted
 */
struct ip ip_client_of(const struct ip *peer, const char *forwarded_for,
                       const struct ip_nets *trusted);

/* Connections per client; any thread. */
struct addresses;
int addresses_new(struct addresses **ret, struct err *err);
struct addresses *addresses_free(struct addresses *addresses);
/** addresses_enter() - count one more, unless there are @max already. Return: false when refused.
 */
bool addresses_enter(struct addresses *addresses, const struct ip *ip, unsigned max);
void addresses_leave(struct addresses *addresses, const struct ip *ip);
