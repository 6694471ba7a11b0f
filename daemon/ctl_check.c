/* SPDX-License-Identifier: ISC */
/*
 * `check-config`: everything that flyballd would refuse to start with and that
 * can be found out without being it: the file, the users it names,
 * certificates and trust. Ports and the state directory aren't touched.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/base/strbuf.h"
#include "conf/conf.h"
#include "daemon/auth.h"
#include "daemon/ctl.h"
#include "daemon/log_reader.h"
#include "sink/tls.h"

#define DEFAULT_FILE FLYBALL_SYSCONFDIR "/flyball/flyball.yaml"

static void
check_tls(const struct conf *conf, struct strbuf *errors)
{
	struct err err;

	if (*conf->tls.certificate != '\0') {
		SSL_CTX *context = tls_server_context(&conf->tls, &err);

		if (context == NULL)
			strbuf_addf(errors, "%s: %s\n", conf->tls.where,
			    err.text);
		SSL_CTX_free(context);
	}
	for (size_t i = 0; i < conf->n_routes; i++) {
		SSL_CTX *context = tls_client_context(&conf->routes[i], &err);

		if (context == NULL)
			strbuf_addf(errors, "%s: routes.%s: %s\n",
			    conf->routes[i].where != NULL
				? conf->routes[i].where
				: conf->file,
			    conf->routes[i].name, err.text);
		tls_client_context_free(context);
	}
}

static int
check(const char *file, bool is_dump)
{
	struct strbuf errors = { 0 }, dump = { 0 };
	struct conf *conf = conf_load(file, &errors);
	int result = CTL_REFUSED;
	struct err err;

	if (conf != NULL) {
		auth_check_users(conf, &errors);
		check_tls(conf, &errors);
		if (log_reader_check(&conf->feedback, &err) < 0)
			strbuf_addf(&errors, "%s: %s\n", file, err.text);
	}
	if (errors.len > 0) {
		fputs(errors.data, stderr);
		goto out;
	}
	result = CTL_OK;
	if (is_dump) {
		conf_dump(conf, &dump);
		fputs(dump.data, stdout);
	} else {
		printf("%s: ok\n", file);
	}
out:
	conf_unref(conf);
	strbuf_fini(&errors);
	strbuf_fini(&dump);
	return result;
}

int
ctl_check_config(int argc, char **argv)
{
	const char *file = NULL;
	bool is_dump = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--dump") == 0)
			is_dump = true;
		else if (file == NULL && argv[i][0] != '-')
			file = argv[i];
		else {
			fprintf(stderr,
			    "flyballctl check-config: what is "
			    "\"%s\"?\n",
			    argv[i]);
			return CTL_USAGE;
		}
	}
	return check(file != NULL ? file : DEFAULT_FILE, is_dump);
}
