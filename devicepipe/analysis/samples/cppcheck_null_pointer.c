/* SPDX-License-Identifier: Apache-2.0 */
/* Must-fail sample: dereferences a null pointer. An analysis that does not report it was not really on (rule nullPointer). */

int devicepipe_sample_null_pointer(void);

int devicepipe_sample_null_pointer(void)
{
    const int *value = 0;

    return *value;
}
