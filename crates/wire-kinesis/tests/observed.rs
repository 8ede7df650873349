//! Refusals word for word as kinesalite 3.3.3 gives them, which was written against the service's own answers.
//! Members and bounds that the service has changed since then are left out.

use bytes::Bytes;
use kolk_wire_kinesis::requests::*;
use kolk_wire_kinesis::{DecodeError, Format, Request, ServiceError, decode};

fn refusal<R: Request>(body: &str) -> String {
    let error: DecodeError =
        decode::<R>(Format::Json, &Bytes::from(body.to_owned())).err().expect("a refusal");
    String::from_utf8(ServiceError::from(error).encode(Format::Json).to_vec()).expect("JSON is UTF-8")
}

fn serialization(text: &str) -> String {
    serde_json::json!({"__type": "SerializationException", "Message": text}).to_string()
}

fn same(found: &str, expected: &str) {
    let parse = |text| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    assert_eq!(parse(found), parse(expected));
}

#[test]
fn wrong_types() {
    let number = "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to ";
    for (body, text) in [
        (r#"{"StreamName":1}"#, format!("{number}an String")),
        (r#"{"StreamName":true}"#, "class java.lang.Boolean can not be converted to an String".to_owned()),
        (r#"{"StreamName":[]}"#, "Start of list found where not expected".to_owned()),
        (r#"{"StreamName":{}}"#, "Start of structure or map found where not expected.".to_owned()),
        (r#"{"Data":1}"#, format!("{number}a Blob")),
        (r#"{"Data":true}"#, "class java.lang.Boolean can not be converted to a Blob".to_owned()),
        (
            r#"{"Data":"abc"}"#,
            "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3"
                .to_owned(),
        ),
        (r#"{"Data":"a*=="}"#, "'a*==' can not be converted to a Blob: Invalid Base64 character: '*'".to_owned()),
        (r#"{"Data":"ab=c"}"#, "'ab=c' can not be converted to a Blob: Invalid Base64 character: '='".to_owned()),
        (
            r#"{"Data":"YR=="}"#,
            "'YR==' can not be converted to a Blob: Invalid last non-pad Base64 character dectected".to_owned(),
        ),
    ] {
        same(&refusal::<PutRecordInput>(body), &serialization(&text));
    }
    for (body, text) in [
        (r#"{"Records":"a"}"#, "Expected list or null"),
        (r#"{"Records":{}}"#, "Start of structure or map found where not expected."),
        (r#"{"Records":["a"]}"#, "Expected null"),
        (r#"{"Records":[[]]}"#, "Start of list found where not expected"),
    ] {
        same(&refusal::<PutRecordsInput>(body), &serialization(text));
    }
    for (body, text) in [
        (r#"{"Tags":[]}"#, "Start of list found where not expected".to_owned()),
        (r#"{"Tags":"a"}"#, "Expected map or null".to_owned()),
        (r#"{"Tags":{"a":1}}"#, format!("{number}an String")),
    ] {
        same(&refusal::<AddTagsToStreamInput>(body), &serialization(&text));
    }
    same(
        &refusal::<CreateStreamInput>(r#"{"ShardCount":"1"}"#),
        &serialization("class java.lang.String can not be converted to an Integer"),
    );
    same(
        &refusal::<GetShardIteratorInput>(r#"{"Timestamp":"a"}"#),
        &serialization("class java.lang.String can not be converted to milliseconds since epoch"),
    );
}

#[test]
fn bodies_that_cannot_be_read_have_no_message() {
    for body in ["", "{", r#"{"Limit":"#, "1", r#""a""#, "null", "{} x", "{\"a\":\u{1}}", r#"{"Limit":01}"#] {
        assert_eq!(refusal::<ListStreamsInput>(body), r#"{"__type":"SerializationException"}"#, "{body}");
    }
    // Not JSON further on outweighs a wrong type before it.
    assert_eq!(refusal::<ListStreamsInput>(r#"{"Limit":"a","#), r#"{"__type":"SerializationException"}"#);
}

#[test]
fn broken_constraints() {
    let put = refusal::<PutRecordInput>(
        r#"{"StreamName":"a b","PartitionKey":"","ExplicitHashKey":"00","SequenceNumberForOrdering":"x"}"#,
    );
    // kinesalite lets "00" pass, its pattern being anchored on one side only.
    same(
        &put,
        r#"{"__type":"ValidationException","message":"5 validation errors detected: Value 'x' at 'sequenceNumberForOrdering' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,128}); Value '' at 'partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '00' at 'explicitHashKey' failed to satisfy constraint: Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38}); Value null at 'data' failed to satisfy constraint: Member must not be null; Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"}"#,
    );
    same(
        &refusal::<PutRecordsInput>(
            r#"{"Records":[{"PartitionKey":"a","Data":""},{"PartitionKey":"","ExplicitHashKey":"1"}],"StreamName":"a"}"#,
        ),
        r#"{"__type":"ValidationException","message":"2 validation errors detected: Value '' at 'records.2.member.partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1; Value null at 'records.2.member.data' failed to satisfy constraint: Member must not be null"}"#,
    );
    let name = "a".repeat(129);
    same(
        &refusal::<PutRecordsInput>(&format!(r#"{{"Records":[],"StreamName":"{name}"}}"#)),
        &format!(
            r#"{{"__type":"ValidationException","message":"2 validation errors detected: Value '[]' at 'records' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '{name}' at 'streamName' failed to satisfy constraint: Member must have length less than or equal to 128"}}"#
        ),
    );
    same(
        &refusal::<CreateStreamInput>(r#"{"ShardCount":-1.5,"StreamName":"a"}"#),
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value '-2' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1"}"#,
    );
    same(
        &refusal::<GetShardIteratorInput>(r#"{"ShardIteratorType":"x","ShardId":"","StreamName":"a"}"#),
        r#"{"__type":"ValidationException","message":"3 validation errors detected: Value '' at 'shardId' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '' at 'shardId' failed to satisfy constraint: Member must have length greater than or equal to 1; Value 'x' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]"}"#,
    );
    let value = "v".repeat(257);
    same(
        &refusal::<AddTagsToStreamInput>(&format!(r#"{{"Tags":{{"":"{value}"}},"StreamName":"a"}}"#)),
        &format!(
            r#"{{"__type":"ValidationException","message":"2 validation errors detected: Value '{{={value}}}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]; Value '{{={value}}}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 256, Member must have length greater than or equal to 0]"}}"#
        ),
    );
    same(
        &refusal::<RemoveTagsFromStreamInput>(r#"{"TagKeys":[""],"StreamName":"a"}"#),
        r#"{"__type":"ValidationException","message":"1 validation error detected: Value '[]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"}"#,
    );
    same(
        &refusal::<GetRecordsInput>(r#"{"ShardIterator":"","Limit":0}"#),
        r#"{"__type":"ValidationException","message":"2 validation errors detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1; Value '' at 'shardIterator' failed to satisfy constraint: Member must have length greater than or equal to 1"}"#,
    );
}

#[test]
fn an_answer_lists_ten_errors_and_no_more() {
    let records = vec![r#"{"PartitionKey":""}"#; 20].join(",");
    let answer = refusal::<PutRecordsInput>(&format!(r#"{{"Records":[{records}]}}"#));
    assert!(answer.contains("10 validation errors detected: "), "{answer}");
    assert_eq!(answer.matches("failed to satisfy").count(), 10);
    assert!(answer.contains("records.5.member.data") && !answer.contains("records.6.member"), "{answer}");
}
