// Command round is the whole round with franz-go (kgo and kadm), read back and resharded with the AWS SDK for Go v2.
//
// KOLK_KAFKA=HOST:PORT and KOLK_KINESIS=http://HOST:PORT are the two faces of the server under test. One line is
// printed per case: `ok NAME`, `FAIL NAME: why` or `skip NAME: why`.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	partitions = 3
	count      = 1000
)

var (
	kafka   = os.Getenv("KOLK_KAFKA")
	streams = os.Getenv("KOLK_KINESIS")
	topic   = unique("franz")
	acked   = map[string]string{} // "partition/offset" to "key=value"
	admin   *kadm.Client
)

func main() {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	if err != nil {
		panic(err)
	}
	admin = kadm.NewClient(client)
	failed := 0
	run := func(name string, body func(context.Context) error) {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		start := time.Now()
		if err := body(ctx); err != nil {
			failed++
			fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
			return
		}
		fmt.Printf("ok %s (%.1f s)\n", name, time.Since(start).Seconds())
	}
	cross := func(name string, body func(context.Context) error) {
		if streams == "" {
			fmt.Printf("skip %s: KOLK_KINESIS is not set\n", name)
			return
		}
		run(name, body)
	}
	run("create a topic", createTopic)
	run("topics are refused with Kafka's errors", refusedTopics)
	run("produce with every codec, idempotent, with headers", produce)
	run("consume all from the beginning", consume)
	run("offsets by time, replay from an offset", offsets)
	run("group: commit, resume, describe, delete", group)
	run("group: members share the partitions with every balancer", balancers)
	run("too large record is refused and the producer goes on", tooLarge)
	run("a transactional producer is refused at once or works", transactional)
	run("configs: alter and describe", configs)
	run("cluster, log directories and API versions are described", cluster)
	cross("read back through Kinesis: every record, offset = sequence index - 1", readThroughKinesis)
	cross("records put through Kinesis are read by franz-go", readKinesisPuts)
	run("CreatePartitions under load: no producer error, nothing lost or twice", createPartitions)
	cross("SplitShard under load: no producer error, nothing lost or twice", splitShards)
	run("DeleteRecords moves the beginning", deleteRecords)
	run("delete the topic", deleteTopic)
	if failed > 0 {
		os.Exit(1)
	}
}

func unique(prefix string) string {
	bytes := make([]byte, 4)
	_, _ = rand.Read(bytes)
	return prefix + "-" + hex.EncodeToString(bytes)
}

func same(found, expected any, what string) error {
	if reflect.DeepEqual(found, expected) {
		return nil
	}
	text := fmt.Sprintf("%s: found %v, expected %v", what, found, expected)
	return errors.New(text[:min(len(text), 600)])
}

func isError(err error, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return fmt.Errorf("found error %v, expected %v", err, expected)
}

func eventually(what string, condition func() (bool, error)) error {
	for range 300 {
		holds, err := condition()
		if err != nil {
			return err
		}
		if holds {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%s did not come true within 30 s", what)
}

func place(partition int32, offset int64) string {
	return fmt.Sprintf("%d/%d", partition, offset)
}

func newClient(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(kafka), kgo.MetadataMinAge(100 * time.Millisecond)}, options...)...)
}

// readAll reads a topic up to the end offsets of this moment.
func readAll(ctx context.Context, topic string) ([]*kgo.Record, error) {
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	if err := ends.Error(); err != nil {
		return nil, err
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	want := 0
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		want += int(end.Offset - start.Offset)
	})
	client, err := newClient(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var records []*kgo.Record
	for len(records) < want {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%d of %d records: %w", len(records), want, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

func createTopic(ctx context.Context) error {
	if _, err := admin.CreateTopic(ctx, partitions, 1, map[string]*string{"retention.ms": kadm.StringPtr("172800000")}, topic); err != nil {
		return err
	}
	listed, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	return same(len(listed[topic].Partitions), partitions, "partitions")
}

func refusedTopics(ctx context.Context) error {
	create := func(partitions int32, config map[string]*string, name string) error {
		_, err := admin.CreateTopic(ctx, partitions, 1, config, name)
		return err
	}
	return errors.Join(
		isError(create(1, nil, topic), kerr.TopicAlreadyExists),
		isError(create(1, nil, "a topic"), kerr.InvalidTopicException),
		isError(create(0, nil, unique("x")), kerr.InvalidPartitions),
		isError(create(1, map[string]*string{"retention.ms": kadm.StringPtr("soon")}, unique("x")), kerr.InvalidConfig),
	)
}

func produce(ctx context.Context) error {
	codecs := []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	}
	for number, codec := range codecs {
		client, err := newClient(kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic))
		if err != nil {
			return err
		}
		var records []*kgo.Record
		for i := number * count / len(codecs); i < (number+1)*count/len(codecs); i++ {
			record := kgo.KeyStringRecord(fmt.Sprintf("key-%d", i%50), strings.Repeat(fmt.Sprintf("value-%d ", i), 1+i%7))
			record.Headers = []kgo.RecordHeader{{Key: "n", Value: []byte(strconv.Itoa(i))}}
			records = append(records, record)
		}
		results := client.ProduceSync(ctx, records...)
		client.Close()
		if err := results.FirstErr(); err != nil {
			return err
		}
		for _, result := range results {
			acked[place(result.Record.Partition, result.Record.Offset)] = string(result.Record.Key) + "=" + string(result.Record.Value)
		}
	}
	return same(len(acked), count, "acked")
}

func consume(ctx context.Context) error {
	records, err := readAll(ctx, topic)
	if err != nil {
		return err
	}
	found := map[string]string{}
	for _, record := range records {
		found[place(record.Partition, record.Offset)] = string(record.Key) + "=" + string(record.Value)
		if len(record.Headers) != 1 || record.Headers[0].Key != "n" {
			return fmt.Errorf("headers of %v", record)
		}
	}
	return errors.Join(same(len(records), count, "records"), same(found, acked, "records"))
}

func offsets(ctx context.Context) error {
	records, err := readAll(ctx, topic)
	if err != nil {
		return err
	}
	records = slices.DeleteFunc(records, func(record *kgo.Record) bool { return record.Partition != 1 })
	wanted := records[len(records)/2].Timestamp.UnixMilli()
	first := slices.IndexFunc(records, func(record *kgo.Record) bool { return record.Timestamp.UnixMilli() >= wanted })
	listed, err := admin.ListOffsetsAfterMilli(ctx, wanted, topic)
	if err != nil {
		return err
	}
	offset, _ := listed.Lookup(topic, 1)
	if err := same(offset.Offset, int64(first), "offset by time"); err != nil {
		return err
	}
	client, err := newClient(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {1: kgo.NewOffset().At(17)}}))
	if err != nil {
		return err
	}
	defer client.Close()
	fetched := client.PollRecords(ctx, 1)
	if err := fetched.Err(); err != nil {
		return err
	}
	return same(fetched.Records()[0].Offset, int64(17), "offset")
}

func group(ctx context.Context) error {
	name := unique("group")
	read := func(count int) ([]string, error) {
		client, err := newClient(
			kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		var places []string
		for len(places) < count {
			fetches := client.PollRecords(ctx, count-len(places))
			if err := fetches.Err(); err != nil {
				return nil, err
			}
			for _, record := range fetches.Records() {
				places = append(places, place(record.Partition, record.Offset))
			}
			if err := client.CommitRecords(ctx, fetches.Records()...); err != nil {
				return nil, err
			}
		}
		described, err := admin.DescribeGroups(ctx, name)
		if err != nil {
			return nil, err
		}
		return places, same(described[name].State, "Stable", "state")
	}
	first, err := read(300)
	if err != nil {
		return err
	}
	second, err := read(count - 300)
	if err != nil {
		return err
	}
	all := append(first, second...)
	slices.Sort(all)
	if err := same(all, slices.Sorted(maps.Keys(acked)), "records of both members"); err != nil {
		return err
	}
	lags, err := admin.Lag(ctx, name)
	if err != nil {
		return err
	}
	if err := same(lags[name].Lag.Total(), int64(0), "lag"); err != nil {
		return err
	}
	deleted, err := admin.DeleteGroups(ctx, name)
	if err != nil {
		return err
	}
	return deleted.Error()
}

func balancers(ctx context.Context) error {
	for _, balancer := range []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.RoundRobinBalancer(), kgo.StickyBalancer(), kgo.CooperativeStickyBalancer()} {
		name := unique("group")
		member := func() (*kgo.Client, error) {
			return newClient(
				kgo.ConsumerGroup(name), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
				kgo.HeartbeatInterval(200*time.Millisecond), kgo.SessionTimeout(6*time.Second),
			)
		}
		owned := func(members int) func() (bool, error) {
			return func() (bool, error) {
				described, err := admin.DescribeGroups(ctx, name)
				if err != nil {
					return false, err
				}
				seen, busy := map[int32]bool{}, 0
				for _, member := range described[name].Members {
					if assigned, ok := member.Assigned.AsConsumer(); ok {
						for _, topic := range assigned.Topics {
							for _, partition := range topic.Partitions {
								if seen[partition] {
									return false, fmt.Errorf("partition %d is assigned twice", partition)
								}
								seen[partition] = true
							}
						}
						if len(assigned.Topics) > 0 {
							busy++
						}
					}
				}
				return described[name].State == "Stable" && busy == members && len(seen) == partitions, nil
			}
		}
		first, err := member()
		if err != nil {
			return err
		}
		second, err := member()
		if err != nil {
			return err
		}
		err = eventually("two members share with "+balancer.ProtocolName(), owned(2))
		second.Close()
		if err == nil {
			err = eventually("one member takes over with "+balancer.ProtocolName(), owned(1))
		}
		first.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func tooLarge(ctx context.Context) error {
	client, err := newClient(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(10_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	refused := client.ProduceSync(ctx, kgo.KeyStringRecord("big", strings.Repeat("x", 2_000_000))).FirstErr()
	if err := isError(refused, kerr.MessageTooLarge); err != nil {
		return err
	}
	record, err := client.ProduceSync(ctx, kgo.KeyStringRecord("after", "small")).First()
	if err != nil {
		return err
	}
	acked[place(record.Partition, record.Offset)] = "after=small"
	return nil
}

func transactional(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client, err := newClient(kgo.TransactionalID(unique("tx")), kgo.DefaultProduceTopic(unique("tx-topic")), kgo.AllowAutoTopicCreation())
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return nil // refused before the first record
	}
	if err := client.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return errors.New("the refusal was retried for ever")
		}
		return nil
	}
	return client.EndTransaction(ctx, kgo.TryCommit)
}

func configs(ctx context.Context) error {
	set := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("259200000")}}
	altered, err := admin.AlterTopicConfigs(ctx, set, topic)
	if err != nil {
		return err
	}
	if err := altered[0].Err; err != nil {
		return err
	}
	return eventually("new retention", func() (bool, error) {
		described, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return false, err
		}
		for _, config := range described[0].Configs {
			if config.Key == "retention.ms" {
				return config.MaybeValue() == "259200000", nil
			}
		}
		return false, errors.New("retention.ms is not described")
	})
}

func cluster(ctx context.Context) error {
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	if err := same(len(brokers), 1, "brokers"); err != nil {
		return err
	}
	directories, err := admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return err
	}
	size := int64(0)
	directories.Each(func(directory kadm.DescribedLogDir) {
		for _, partition := range directory.Topics[topic] {
			size += partition.Size
		}
	})
	if size < 10_000 {
		return fmt.Errorf("bytes of the topic: %d", size)
	}
	versions, err := admin.ApiVersions(ctx)
	if err != nil {
		return err
	}
	for _, broker := range versions {
		if broker.Err != nil {
			return broker.Err
		}
	}
	return nil
}

func kinesisClient() *kinesis.Client {
	return kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(streams),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	})
}

// decode answers the shard index and the Kafka offset of a sequence number (47 hex digits).
func decode(number string) (int32, int64, error) {
	value, ok := new(big.Int).SetString(number, 10)
	if !ok {
		return 0, 0, fmt.Errorf("%q is no number", number)
	}
	digits := value.Text(16)
	if len(digits) != 47 {
		return 0, 0, fmt.Errorf("%s has %d hex digits", number, len(digits))
	}
	shard, err := strconv.ParseInt(digits[38:46], 16, 32)
	if err != nil {
		return 0, 0, err
	}
	index, err := strconv.ParseInt(digits[11:27], 16, 64)
	return int32(shard), index - 1, err
}

func listShards(ctx context.Context, client *kinesis.Client, stream string) ([]types.Shard, error) {
	listed, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: &stream})
	if err != nil {
		return nil, err
	}
	return listed.Shards, nil
}

func readShard(ctx context.Context, client *kinesis.Client, stream string, shard *string) ([]types.Record, error) {
	started, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &stream, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		return nil, err
	}
	var records []types.Record
	for iterator := started.ShardIterator; ; {
		page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
		if err != nil {
			return nil, err
		}
		records = append(records, page.Records...)
		iterator = page.NextShardIterator
		if iterator == nil {
			if len(page.ChildShards) == 0 {
				return nil, fmt.Errorf("%s ended without child shards", *shard)
			}
			return records, nil
		}
		if len(page.Records) == 0 && *page.MillisBehindLatest == 0 {
			return records, nil
		}
	}
}

// readStream reads all records, parents before children.
func readStream(ctx context.Context, client *kinesis.Client, stream string) ([]types.Record, error) {
	shards, err := listShards(ctx, client, stream)
	if err != nil {
		return nil, err
	}
	known, done := map[string]bool{}, map[string]bool{}
	for _, shard := range shards {
		known[*shard.ShardId] = true
	}
	ready := func(parent *string) bool { return parent == nil || !known[*parent] || done[*parent] }
	var records []types.Record
	for len(done) < len(shards) {
		before := len(done)
		for _, shard := range shards {
			if done[*shard.ShardId] || !ready(shard.ParentShardId) || !ready(shard.AdjacentParentShardId) {
				continue
			}
			found, err := readShard(ctx, client, stream, shard.ShardId)
			if err != nil {
				return nil, err
			}
			records = append(records, found...)
			done[*shard.ShardId] = true
		}
		if len(done) == before {
			return nil, errors.New("the lineage has a circle")
		}
	}
	return records, nil
}

func waitActive(ctx context.Context, client *kinesis.Client, stream string) error {
	return eventually(stream+" active", func() (bool, error) {
		summary, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
		if err != nil {
			return false, err
		}
		return summary.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive, nil
	})
}

func readThroughKinesis(ctx context.Context) error {
	records, err := readStream(ctx, kinesisClient(), topic)
	if err != nil {
		return err
	}
	found := map[string]string{}
	for _, record := range records {
		shard, offset, err := decode(*record.SequenceNumber)
		if err != nil {
			return err
		}
		found[place(shard, offset)] = *record.PartitionKey + "=" + string(record.Data)
	}
	return errors.Join(same(len(records), len(acked), "records"), same(found, acked, "records"))
}

func readKinesisPuts(ctx context.Context) error {
	client := kinesisClient()
	for i := range 50 {
		put, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
			StreamName: &topic, PartitionKey: aws.String(fmt.Sprintf("pk-%d", i)), Data: fmt.Appendf(nil, "put-%d", i),
		})
		if err != nil {
			return err
		}
		shard, offset, err := decode(*put.SequenceNumber)
		if err != nil {
			return err
		}
		acked[place(shard, offset)] = fmt.Sprintf("pk-%d=put-%d", i, i)
	}
	records, err := readAll(ctx, topic)
	if err != nil {
		return err
	}
	found := map[string]string{}
	for _, record := range records {
		found[place(record.Partition, record.Offset)] = string(record.Key) + "=" + string(record.Value)
	}
	return same(found, acked, "records of both writers")
}

// growthUnderLoad writes with an idempotent producer while the topic grows: no error, no loss, nothing twice.
func growthUnderLoad(ctx context.Context, topic string, partitionsAfter int, grow func() error) (map[string]string, error) {
	if _, err := admin.CreateTopic(ctx, 2, 1, nil, topic); err != nil {
		return nil, err
	}
	client, err := newClient(kgo.DefaultProduceTopic(topic), kgo.MetadataMaxAge(500*time.Millisecond), kgo.ProducerLinger(2*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var lock sync.Mutex
	sent, written, failures := map[string]string{}, map[int32]bool{}, []error{}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := range 40_000 {
			select {
			case <-stop:
				return
			default:
			}
			value := strconv.Itoa(i)
			client.Produce(ctx, kgo.KeyStringRecord(fmt.Sprintf("k%d", i%200), value), func(record *kgo.Record, err error) {
				lock.Lock()
				defer lock.Unlock()
				if err != nil {
					failures = append(failures, err)
					return
				}
				sent[value] = place(record.Partition, record.Offset)
				written[record.Partition] = true
			})
			time.Sleep(500 * time.Microsecond)
		}
	}()
	time.Sleep(500 * time.Millisecond)
	err = grow()
	if err == nil {
		err = eventually("writes to all partitions", func() (bool, error) {
			lock.Lock()
			defer lock.Unlock()
			return len(written) >= partitionsAfter, nil
		})
	}
	close(stop)
	<-ended
	err = errors.Join(err, client.Flush(ctx), errors.Join(failures...))
	if err != nil {
		return nil, err
	}
	records, err := readAll(ctx, topic)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, record := range records {
		found[string(record.Value)] = place(record.Partition, record.Offset)
	}
	return sent, errors.Join(same(len(records), len(sent), "records"), same(found, sent, "records"))
}

func createPartitions(ctx context.Context) error {
	topic := unique("grow")
	_, err := growthUnderLoad(ctx, topic, 5, func() error {
		grown, err := admin.UpdatePartitions(ctx, 5, topic)
		if err != nil {
			return err
		}
		return grown.Error()
	})
	return err
}

func splitShards(ctx context.Context) error {
	topic, client := unique("split"), kinesisClient()
	sent, err := growthUnderLoad(ctx, topic, 4, func() error {
		shards, err := listShards(ctx, client, topic)
		if err != nil {
			return err
		}
		for _, shard := range shards {
			low, _ := new(big.Int).SetString(*shard.HashKeyRange.StartingHashKey, 10)
			high, _ := new(big.Int).SetString(*shard.HashKeyRange.EndingHashKey, 10)
			middle := new(big.Int).Rsh(low.Add(low, high).Add(low, big.NewInt(1)), 1).String()
			split := kinesis.SplitShardInput{StreamName: &topic, ShardToSplit: shard.ShardId, NewStartingHashKey: &middle}
			if _, err := client.SplitShard(ctx, &split); err != nil {
				return err
			}
			if err := waitActive(ctx, client, topic); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	records, err := readStream(ctx, client, topic)
	if err != nil {
		return err
	}
	found := map[string]bool{}
	for _, record := range records {
		found[string(record.Data)] = true
	}
	return errors.Join(same(len(records), len(sent), "records read through Kinesis"), same(len(found), len(sent), "different records"))
}

func deleteRecords(ctx context.Context) error {
	to := kadm.Offsets{}
	to.Add(kadm.Offset{Topic: topic, Partition: 2, At: 10})
	deleted, err := admin.DeleteRecords(ctx, to)
	if err != nil {
		return err
	}
	result, _ := deleted.Lookup(topic, 2)
	if result.Err != nil {
		return result.Err
	}
	return same(result.LowWatermark, int64(10), "low watermark")
}

func deleteTopic(ctx context.Context) error {
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	_, err := admin.DeleteTopic(ctx, topic)
	return isError(err, kerr.UnknownTopicOrPartition)
}
