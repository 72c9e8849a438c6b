/* SPDX-License-Identifier: Apache-2.0 */
/* Must-fail sample: an octal constant (MISRA C:2012 rule 7.1). An analysis that does not report it was not really on. */

int devicepipe_sample_octal(void);

int devicepipe_sample_octal(void)
{
    return 0123;
}
